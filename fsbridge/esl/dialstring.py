"""The originate command and the argument of `bridge`, built from validated parts only. Pure.

FreeSWITCH reads an originate string with many eyes: space , = ' \\ ^^ { } [ ] | & $ < > and line breaks all mean
something, and `api_on_answer` runs a command. So every part is allow-listed here against its own grammar, and
nothing is escaped. Form (fs-traces/fork_started_on_answer):

    originate {^^;name=value;…;api_on_answer='uuid_audio_fork …';api_on_answer_limit='sched_hangup …'}<endpoint> &park()

    bridge    {^^;name=value;…}<endpoint>|<endpoint>     (bridge itself: fs-traces/flow_bridge_and_transfer)

`^^;` makes the semicolon the separator of the variables; no part may hold one.

Every leg keeps to three rules that FreeSWITCH does not keep by itself (tests/traces redirect_refused, media_timeout):

* a far end that answers 302 ends the call (`outbound_redirect_fatal`): else it would choose whom we call;
* a far end that vanished ends the call (`rtp_timeout_sec`): else it lives until its maximum. `media_timeout`, which is
  newer, forgets its longer limit for calls on hold;
* a phone rings for at least as long as was asked: FreeSWITCH counts seconds that have begun, so it is told one more.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from fsbridge.errors import FsbridgeError
from fsbridge.model.ids import ChannelUuid, FlowId, OrgId, SessionId, is_uuid

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_NUMBER = re.compile(r"\+?[0-9*#]{1,32}")
_CALLER_ID = re.compile(r"\+?[0-9]{1,32}|anonymous")
_METADATA = re.compile(r"[A-Za-z0-9_-]{0,1024}")
_WS_URL = re.compile(
    r"wss?://(?:[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::(?P<port>[0-9]{1,5}))?(?:/[A-Za-z0-9._/-]{0,200})?"
)
SIP_URI = re.compile(
    r"(?P<scheme>sips?):(?:(?P<user>(?:[A-Za-z0-9+_.~*-]|%(?:23|28|29|40|[89A-F][0-9A-F])){1,64})@)?"
    r"(?P<host>[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\])"
    r"(?::(?P<port>[0-9]{1,5}))?(?P<transport>;transport=(?:udp|tcp|tls))?"
)
"""RFC 3261's SIP URI without passwords, headers and all parameters but transport.

Escapes only of # ( ) @ and of what is not ASCII, so that nothing is live even where somebody undoes them; in capitals,
as FreeSWITCH escapes the percent sign of any other once more (tests/traces sip_uri_users).
"""

ANONYMOUS = "anonymous"
"""The caller id of a caller who withholds it, on purpose."""

_OWN_VARIABLE = re.compile(r"fsbridge_[a-z_]{1,48}|sip_h_X-[A-Za-z0-9-]{1,48}")
"""Names that can do nothing: `api_on_answer`, `execute_on_ring` and their like run commands."""
_OWN_VALUE = re.compile(r"[A-Za-z0-9_.+-]{0,200}")

MAX_ENDPOINTS = 16

LIMIT_GRACE_S = 30
"""How much longer than a call may last the switch itself lets it live: our own orderly end comes first."""

FINAL_CAUSES = (
    *("USER_BUSY", "NO_ANSWER", "NO_USER_RESPONSE", "CALL_REJECTED"),
    *("UNALLOCATED_NUMBER", "NUMBER_CHANGED", "INVALID_NUMBER_FORMAT"),
)
"""What the called side itself has said: another gateway would only ring the same phone again. Everything else is a
gateway's trouble, and the next one is tried. A timeout ends the tries by itself (switch_ivr_originate.c)."""


class DialStringError(FsbridgeError, ValueError):
    """A part is not allowed in an originate string; nothing was sent."""


@dataclass(frozen=True, slots=True)
class GatewayEndpoint:
    """A number through a configured gateway."""

    gateway: str
    number: str

    def render(self) -> str:
        """`sofia/gateway/<gateway>/<number>`, a `#` escaped: FreeSWITCH would send it raw, which RFC 3261 forbids."""
        _check("gateway", self.gateway, _NAME)
        _check("number", self.number, _NUMBER)
        return f"sofia/gateway/{self.gateway}/{self.number.replace('#', '%23')}"


@dataclass(frozen=True, slots=True)
class SipUriEndpoint:
    """A SIP URI dialled directly from a SIP profile."""

    profile: str
    uri: str

    def render(self) -> str:
        """`sofia/<profile>/<sip uri>`."""
        _check("profile", self.profile, _NAME)
        if self.profile == "gateway":
            # mod_sofia reads `sofia/gateway/…` as a gateway's name, whatever profiles there are.
            raise DialStringError("profile: 'gateway' is mod_sofia's own word")
        _check("uri", self.uri, SIP_URI)
        _check_port("uri", SIP_URI, self.uri)
        if self.secure and (";" in self.uri and not self.uri.endswith(";transport=tls")):
            # FreeSWITCH believes the parameter, and would dial in clear.
            raise DialStringError("uri: sips: goes over TLS, and over no other transport")
        return f"sofia/{self.profile}/{self.uri}"

    @property
    def secure(self) -> bool:
        """Whether it is a `sips:` URI."""
        return self.uri.startswith("sips:")


Endpoint = GatewayEndpoint | SipUriEndpoint


@dataclass(frozen=True, slots=True)
class Tap:
    """An audio fork: where it connects, its media bug's name, its metadata (base64url)."""

    ws_url: str
    bugname: str
    metadata: str

    def command(self, channel: str) -> str:
        """The API command that starts it, 8 kHz mono: what always flows (see `uuid_audio_fork`)."""
        _check("tap url", self.ws_url, _WS_URL)
        _check_port("tap url", _WS_URL, self.ws_url)
        _check("tap bugname", self.bugname, _NAME)
        _check("tap metadata", self.metadata, _METADATA)
        return f"uuid_audio_fork {channel} start {self.ws_url} mono 8k {self.bugname} {self.metadata}".rstrip()


@dataclass(frozen=True, slots=True)
class MediaPatience:
    """For how many whole seconds a far end may send no packet at all, on hold and otherwise, until it counts as gone.

    0 leaves it to the node's SIP profile. Phones that send nothing while nobody speaks are common, so short times
    end good calls.
    """

    silent_s: int = 120
    hold_s: int = 1_800


PATIENCE = MediaPatience()
"""Where the configuration says nothing else."""


@dataclass(frozen=True, slots=True)
class OriginatePlan:
    """Everything that an originate needs. `ring_timeout_s`: whole seconds that the phone rings at least.

    `max_s`: whole seconds after the answer at which the switch itself hangs up, whether anybody is there to ask for it.
    """

    channel: ChannelUuid
    endpoint: Endpoint
    caller_id: str
    session: SessionId
    org: OrgId
    flow: FlowId
    node: str
    ring_timeout_s: int = 30
    media: MediaPatience = PATIENCE
    tap: Tap | None = None
    max_s: int | None = None


def bridge_argument(
    endpoints: Sequence[Endpoint],
    caller_id: str,
    timeout_s: int,
    media: MediaPatience = PATIENCE,
    variables: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """The argument of `bridge`: the endpoints in the order in which they are tried, until one answers.

    `timeout_s` whole seconds, 1 to 600; `variables` are set on the new leg: `fsbridge_…` or `sip_h_X-…` only.
    Raises DialStringError, naming the part, for anything not allowed.
    """
    if not 1 <= len(endpoints) <= MAX_ENDPOINTS:
        raise DialStringError(f"endpoints: there must be 1 to {MAX_ENDPOINTS}")
    settings = [_ring_timeout(timeout_s), *_leg(endpoints, media)]
    if len(endpoints) > 1:
        settings.append(f"fail_on_single_reject={','.join(FINAL_CAUSES)}")
    settings += _caller(caller_id)
    for name, value in variables.items():
        settings.append(f"{_check('variable', name, _OWN_VARIABLE)}={_check(name, value, _OWN_VALUE)}")
    return f"{{^^;{';'.join(settings)}}}{'|'.join(endpoint.render() for endpoint in endpoints)}"


def originate(plan: OriginatePlan) -> str:
    """The command (to be sent by bgapi). Raises DialStringError, naming the part, for anything not allowed."""
    for part, value in (("channel", plan.channel), ("session", plan.session), ("org", plan.org), ("flow", plan.flow)):
        if not isinstance(value, str) or not is_uuid(value):
            raise DialStringError(f"{part}: {value!r} is no UUID")
    variables = [
        f"origination_uuid={plan.channel}",
        "ignore_early_media=true",
        _ring_timeout(plan.ring_timeout_s),
        *_leg((plan.endpoint,), plan.media),
        f"fsbridge_session={plan.session}",
        f"fsbridge_org={plan.org}",
        f"fsbridge_flow={plan.flow}",
        f"fsbridge_node={_check('node', plan.node, _NAME)}",
        *_caller(plan.caller_id),
    ]
    if plan.tap is not None:
        variables.append(f"api_on_answer='{plan.tap.command(plan.channel)}'")
    if plan.max_s is not None:
        # Every variable that begins so is run at the answer (tests/traces call_limit_on_answer).
        variables.append(f"api_on_answer_limit='{limit_command(plan.channel, plan.max_s)}'")
    return f"originate {{^^;{';'.join(variables)}}}{plan.endpoint.render()} &park()"


def limit_command(channel: str, seconds: int) -> str:
    """The API command by which the switch hangs a channel up after so many whole seconds. Raises DialStringError."""
    if not isinstance(channel, str) or not is_uuid(channel):
        raise DialStringError(f"channel: {channel!r} is no UUID")
    return f"sched_hangup +{_seconds('limit', seconds, 1, 100_000)} {channel} ALLOTTED_TIMEOUT"


def _ring_timeout(seconds: int) -> str:
    return f"originate_timeout={_seconds('ring timeout', seconds, 1, 600) + 1}"


def _leg(endpoints: Sequence[Endpoint], media: MediaPatience) -> list[str]:
    """What holds for every leg, whoever places it."""
    settings = ["outbound_redirect_fatal=true"]
    if _seconds("silent media", media.silent_s, 0, 86_400):
        settings.append(f"rtp_timeout_sec={media.silent_s}")
    if _seconds("media on hold", media.hold_s, 0, 86_400):
        settings.append(f"rtp_hold_timeout_sec={media.hold_s}")
    if any(isinstance(endpoint, SipUriEndpoint) and endpoint.secure for endpoint in endpoints):
        # Else mod_sofia takes the URI apart to escape its user, and puts it together as sip:, in clear.
        settings.append("sofia_suppress_url_encoding=true")
    return settings


def _seconds(part: str, value: int, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise DialStringError(f"{part}: must be whole seconds")
    if not least <= value <= most:
        raise DialStringError(f"{part}: must be {least} to {most} seconds")
    return value


def _caller(number: str) -> list[str]:
    """Without a caller id FreeSWITCH would say 0000000000: so there is always one."""
    caller = _check("caller id", number, _CALLER_ID)
    if caller == ANONYMOUS:
        hidden = "origination_privacy=hide_name:hide_number"
        return [f"origination_caller_id_number={ANONYMOUS}", "origination_caller_id_name=Anonymous", hidden]
    return [f"origination_caller_id_number={caller}", f"origination_caller_id_name={caller}"]


def _check(part: str, value: str, grammar: re.Pattern[str]) -> str:
    if not isinstance(value, str) or grammar.fullmatch(value) is None:
        raise DialStringError(f"{part}: {str(value)[:80]!r} is not allowed in a dial string")
    return value


def _check_port(part: str, grammar: re.Pattern[str], value: str) -> None:
    found = grammar.fullmatch(value)
    if found is not None and found["port"] is not None and not 1 <= int(found["port"]) <= 65_535:
        raise DialStringError(f"{part}: port {found['port']} is not 1 to 65535")
