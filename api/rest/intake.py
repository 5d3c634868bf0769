"""From a request's body to a `CallRequest`: the rules that span fields or belong to other rooms.

`api.contract.place_call` has checked each field's shape; here the destination, the webhook's address and what must or
must not come together are checked, and the detector's defaults are filled in. (The caller id's default is the
service's: it depends on the trunk.)
"""

from __future__ import annotations

from types import MappingProxyType

from amd_model.verdict import AmdOptions, Verdict
from amd_model.verdict import Mode as AmdMode
from api.contract.errors import ApiError, ErrorCode, invalid
from api.contract.place_call import CallAnalysisOptions, PlaceCall
from fsbridge.dialing.destinations import DestinationError, parse_destination
from fsbridge.egress.guard import WebhookUrlError, check_url
from fsbridge.model.destination import Destination
from fsbridge.model.request import CallRequest, Mode
from fsbridge.settings.amd import AmdSettings
from fsbridge.settings.orgs import OrgAmdSettings, OrgSettings
from fsbridge.settings.whole import Settings


def to_call_request(body: PlaceCall, settings: Settings, org: OrgSettings) -> CallRequest:
    """The call that is asked for.

    Raises ApiError: INVALID_DESTINATION, INVALID_WEBHOOK_URL, or INVALID_REQUEST for fields that do not go together.
    """
    mode = body.mode or Mode.POLL
    destination = _destination(body.destination_number)
    analysis = None if body.call_analysis is None else frozenset(Verdict(word) for word in body.call_analysis)
    if analysis is None and body.call_analysis_options is not None:
        raise invalid("callAnalysisOptions: only together with callAnalysis; add callAnalysis or leave the options out")
    webhook_url = _webhook_url(body, mode, settings)
    return CallRequest(
        destination=destination,
        caller_id=body.caller_id,
        mode=mode,
        call_analysis=analysis,
        amd=None if analysis is None else amd_options(body.call_analysis_options, analysis, org.amd, settings.amd),
        variables=MappingProxyType(body.variables or {}),
        metadata=body.metadata,
        webhook_url=webhook_url,
        webhook_auth=body.webhook_auth if webhook_url is not None else None,
    )


def amd_options(
    wanted: CallAnalysisOptions | None, analysis: frozenset[Verdict], own: OrgAmdSettings, defaults: AmdSettings
) -> AmdOptions:
    """The detector's options: the caller's where given, else the organization's, else the service's.

    Whoever wants the flow to speak to machines wants it to speak after the beep, so `message_end` is the default then.
    """
    options = wanted or CallAnalysisOptions()
    default = AmdMode.MESSAGE_END if Verdict.ANSWERING_MACHINE in analysis else AmdMode.FAST
    mode = default if options.mode is None else AmdMode(options.mode)
    given = own.model_dump(exclude_none=True) | options.model_dump(exclude_none=True, exclude={"mode"})
    names = AmdOptions.LIMITS.keys()
    chosen = {name: given.get(name, getattr(defaults, name)) for name in names}
    return AmdOptions(mode=mode, transcript=defaults.transcripts, **chosen)


def _destination(text: str) -> Destination:
    try:
        return parse_destination(text)
    except DestinationError as error:
        raise ApiError(ErrorCode.INVALID_DESTINATION, f"destinationNumber: {error}") from error


def _webhook_url(body: PlaceCall, mode: Mode, settings: Settings) -> str | None:
    """Where callbacks go. Without mode webhook that is only where a flow's own events go, and may be nowhere."""
    if body.webhook_url is None:
        if mode is not Mode.WEBHOOK:
            return None
        raise ApiError(
            ErrorCode.INVALID_WEBHOOK_URL, "webhookUrl: missing; mode webhook needs an https URL for the callbacks"
        )
    try:
        check_url(body.webhook_url, settings.webhooks)
    except WebhookUrlError as error:
        if mode is not Mode.WEBHOOK:
            # Callers of the original send one body for every mode; what no callback needs is no fault.
            return None
        raise ApiError(ErrorCode.INVALID_WEBHOOK_URL, str(error)) from error
    return body.webhook_url
