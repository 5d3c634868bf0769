"""Hang-up causes: every one that FreeSWITCH has, with its number, and the failure reason it means. Pure.

Names and numbers: FreeSWITCH's switch_cause_t (Q.850 up to 127, its own above). The reason is for a call that
was *not* answered; an answered call's end is judged by the lifecycle. A cause that is not in the table, for
new ones appear, means `trunk_unavailable`: the switch refused for a reason of its own. It is kept as it came.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from fsbridge.model.outcome import FailureReason, HangupInfo

_NO_ANSWER = FailureReason.NO_ANSWER
_BUSY = FailureReason.BUSY
_TRUNK = FailureReason.TRUNK_UNAVAILABLE
_UNROUTABLE = FailureReason.UNROUTABLE_NUMBER

MAX_Q850 = 127
"""The numbers above it are FreeSWITCH's own."""

_CAUSE = re.compile(r"[A-Z][A-Z0-9_]{1,63}")

MAX_REASON = 200
"""Characters that are kept of a Reason header."""

CAUSES: dict[str, tuple[int, FailureReason]] = {
    "NONE": (0, _TRUNK),
    "UNALLOCATED_NUMBER": (1, _UNROUTABLE),
    "NO_ROUTE_TRANSIT_NET": (2, _UNROUTABLE),
    "NO_ROUTE_DESTINATION": (3, _UNROUTABLE),
    "CHANNEL_UNACCEPTABLE": (6, _TRUNK),
    "CALL_AWARDED_DELIVERED": (7, _TRUNK),
    # Unanswered and yet "normal": the far end let it ring and ended it without refusing.
    "NORMAL_CLEARING": (16, _NO_ANSWER),
    "USER_BUSY": (17, _BUSY),
    "NO_USER_RESPONSE": (18, _NO_ANSWER),
    "NO_ANSWER": (19, _NO_ANSWER),
    # The phone is switched off or out of reach.
    "SUBSCRIBER_ABSENT": (20, _NO_ANSWER),
    # A person (or their phone) pressed "decline": the line cannot be had now, as with a busy one.
    "CALL_REJECTED": (21, _BUSY),
    "NUMBER_CHANGED": (22, _UNROUTABLE),
    "REDIRECTION_TO_NEW_DESTINATION": (23, _UNROUTABLE),
    "EXCHANGE_ROUTING_ERROR": (25, _TRUNK),
    # A node over its session limit says this, and so does a line that is broken.
    "DESTINATION_OUT_OF_ORDER": (27, _TRUNK),
    "INVALID_NUMBER_FORMAT": (28, _UNROUTABLE),
    "FACILITY_REJECTED": (29, _TRUNK),
    "RESPONSE_TO_STATUS_ENQUIRY": (30, _TRUNK),
    "NORMAL_UNSPECIFIED": (31, _TRUNK),
    "NORMAL_CIRCUIT_CONGESTION": (34, _TRUNK),
    "NETWORK_OUT_OF_ORDER": (38, _TRUNK),
    "NORMAL_TEMPORARY_FAILURE": (41, _TRUNK),
    "SWITCH_CONGESTION": (42, _TRUNK),
    "ACCESS_INFO_DISCARDED": (43, _TRUNK),
    "REQUESTED_CHAN_UNAVAIL": (44, _TRUNK),
    "PRE_EMPTED": (45, _TRUNK),
    "FACILITY_NOT_SUBSCRIBED": (50, _TRUNK),
    "OUTGOING_CALL_BARRED": (52, _TRUNK),
    # The called line takes no calls, or none of this kind.
    "INCOMING_CALL_BARRED": (54, _UNROUTABLE),
    "BEARERCAPABILITY_NOTAUTH": (57, _TRUNK),
    "BEARERCAPABILITY_NOTAVAIL": (58, _TRUNK),
    "SERVICE_UNAVAILABLE": (63, _TRUNK),
    "BEARERCAPABILITY_NOTIMPL": (65, _TRUNK),
    "CHAN_NOT_IMPLEMENTED": (66, _TRUNK),
    "FACILITY_NOT_IMPLEMENTED": (69, _TRUNK),
    "SERVICE_NOT_IMPLEMENTED": (79, _TRUNK),
    "INVALID_CALL_REFERENCE": (81, _TRUNK),
    "INCOMPATIBLE_DESTINATION": (88, _TRUNK),
    "INVALID_MSG_UNSPECIFIED": (95, _TRUNK),
    "MANDATORY_IE_MISSING": (96, _TRUNK),
    "MESSAGE_TYPE_NONEXIST": (97, _TRUNK),
    "WRONG_MESSAGE": (98, _TRUNK),
    "IE_NONEXIST": (99, _TRUNK),
    "INVALID_IE_CONTENTS": (100, _TRUNK),
    "WRONG_CALL_STATE": (101, _TRUNK),
    # SIP 408 or 504, or a gateway that never replies.
    "RECOVERY_ON_TIMER_EXPIRE": (102, _TRUNK),
    "MANDATORY_IE_LENGTH_ERROR": (103, _TRUNK),
    "PROTOCOL_ERROR": (111, _TRUNK),
    "INTERWORKING": (127, _TRUNK),
    "SUCCESS": (142, _TRUNK),
    # Ended while ringing, by us or by an operator on the node: nobody had answered.
    "ORIGINATOR_CANCEL": (487, _NO_ANSWER),
    "CRASH": (700, _TRUNK),
    "SYSTEM_SHUTDOWN": (701, _TRUNK),
    "LOSE_RACE": (702, _NO_ANSWER),
    "MANAGER_REQUEST": (703, _TRUNK),
    "BLIND_TRANSFER": (800, _TRUNK),
    "ATTENDED_TRANSFER": (801, _TRUNK),
    "ALLOTTED_TIMEOUT": (802, _NO_ANSWER),
    "USER_CHALLENGE": (803, _TRUNK),
    "MEDIA_TIMEOUT": (804, _TRUNK),
    "PICKED_OFF": (805, _NO_ANSWER),
    "USER_NOT_REGISTERED": (806, _UNROUTABLE),
    "PROGRESS_TIMEOUT": (807, _TRUNK),
    "INVALID_GATEWAY": (808, _TRUNK),
    "GATEWAY_DOWN": (809, _TRUNK),
    "INVALID_URL": (810, _UNROUTABLE),
    "INVALID_PROFILE": (811, _TRUNK),
    "NO_PICKUP": (812, _NO_ANSWER),
    "SRTP_READ_ERROR": (813, _TRUNK),
    "BOWOUT": (814, _TRUNK),
    "BUSY_EVERYWHERE": (815, _BUSY),
    "DECLINE": (816, _BUSY),
    "DOES_NOT_EXIST_ANYWHERE": (817, _UNROUTABLE),
    "NOT_ACCEPTABLE": (818, _TRUNK),
    # SIP 607 and the STIR/SHAKEN refusals: the called network rejects this caller.
    "UNWANTED": (819, _BUSY),
    "NO_IDENTITY": (820, _TRUNK),
    "BAD_IDENTITY_INFO": (821, _TRUNK),
    "UNSUPPORTED_CERTIFICATE": (822, _TRUNK),
    "INVALID_IDENTITY": (823, _TRUNK),
    "STALE_DATE": (824, _TRUNK),
    "REJECT_ALL": (825, _BUSY),
}


BY_STATUS = {
    **dict.fromkeys((480, 487), _NO_ANSWER),
    **dict.fromkeys((486, 600, 603, 607, 608), _BUSY),
    **dict.fromkeys((404, 410, 484, 485, 604), _UNROUTABLE),
}
"""What a final SIP status means where the cause beside it is not in the table: the number of a Reason header that
FreeSWITCH has no name for (a 404 with cause 200 ends as UNKNOWN)."""


def classify(cause: str, sip_status: int | None = None) -> FailureReason:
    """The failure reason of an unanswered call that ended with this cause and, where it is known, this SIP status.

    A redirection (3xx) that was not followed says that the number is not to be had where it was dialled, whatever
    cause FreeSWITCH makes of it (REQUESTED_CHAN_UNAVAIL where it is forbidden; mod_sofia).
    """
    if is_redirection(sip_status):
        return _UNROUTABLE
    known = CAUSES.get(cause)
    return known[1] if known is not None else BY_STATUS.get(sip_status or 0, _TRUNK)


def known_cause(text: str) -> bool:
    """Whether a text has the form of a cause; new ones appear, so it need not be in the table."""
    return _CAUSE.fullmatch(text) is not None


def is_redirection(sip_status: int | None) -> bool:
    """Whether the far end has sent the call elsewhere."""
    return sip_status is not None and 300 <= sip_status < 400


def hangup_info(headers: Mapping[str, str]) -> HangupInfo:
    """What a hang-up event says of the end: the cause as it came, its number, and the far end's own words.

    `sip_term_status` is the status of the final reply; mod_sofia sets it to numbers of its own as well (900, 904).
    `sip_invite_failure_status` is set for a refused INVITE: ours if the channel was never answered, and of the leg it
    was bridged to later if it was (fs-traces/flow_bridge_and_transfer). A redirection that is not followed stands in
    `proto_specific_hangup_cause` alone, beside the 487 of FreeSWITCH's own CANCEL (fs-traces/redirect_refused).
    `hangup_cause_q850` is 16 for each of FreeSWITCH's own causes above 127: these have no number but the one that the
    far end gave (`sip_term_cause`). A Reason header may also be of the answer to our own BYE, and says nothing of the
    end then.
    """
    answered = headers.get("Caller-Channel-Answered-Time", "0") != "0"
    cause = headers.get("Hangup-Cause") or headers.get("variable_hangup_cause") or "NONE"
    number = CAUSES[cause][0] if cause in CAUSES else None
    if number is None or number > MAX_Q850:
        q850 = _q850(headers.get("variable_sip_term_cause"))
    else:
        q850 = _q850(headers.get("variable_hangup_cause_q850")) or number or None
    status = _sip_status(headers.get("variable_sip_term_status"))
    if status is None and not answered:
        status = _sip_status(headers.get("variable_sip_invite_failure_status"))
    redirection = _sip_status(headers.get("variable_proto_specific_hangup_cause", "").removeprefix("sip:"))
    if is_redirection(redirection) and not answered:
        status, by_far_end = redirection, True
    else:
        by_far_end = _by_far_end(headers, status)
    reason = headers.get("variable_sip_reason") if by_far_end else None
    return HangupInfo(cause, q850, status, _printable(reason), by_far_end)


def _by_far_end(headers: Mapping[str, str], status: int | None) -> bool:
    """Whether the far end has ended it. CHANNEL_HANGUP comes before FreeSWITCH has written down who it was; a status
    of the far end's is there already, unless we have ended it ourselves."""
    disposition = headers.get("variable_sip_hangup_disposition")
    return disposition.startswith("recv_") if disposition else status is not None


def _q850(text: str | None) -> int | None:
    number = _number(text)
    return number if number is not None and 1 <= number <= MAX_Q850 else None


def _sip_status(text: str | None) -> int | None:
    number = _number(text)
    return number if number is not None and 200 <= number <= 699 else None


def _number(text: str | None) -> int | None:
    return int(text[:6]) if text is not None and text.isascii() and text.isdigit() else None


def _printable(text: str | None) -> str | None:
    """A header of the far end's as text that can do no harm in a log or on a screen."""
    if not text:
        return None
    return "".join(each if each.isascii() and each.isprintable() else "?" for each in text[:MAX_REASON])
