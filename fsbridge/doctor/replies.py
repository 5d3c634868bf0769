"""What a node's replies to the doctor's questions say. Pure; held to tests/traces node_queries and doctor_queries.

A reply that is not understood gives None, never a guess.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Status:
    """The limits that `status` tells, and how many sessions there are; readiness is `nodes.standing`'s matter."""

    sessions: int
    max_sessions: int
    max_rate: int


@dataclass(frozen=True, slots=True)
class Gateway:
    """What `sofia status gateway` tells.

    `ping_s` is how often FreeSWITCH asks it by OPTIONS, 0 for never; `answers` whether it has answered the last time.
    One that was not asked yet is UP as well.
    """

    profile: str
    status: str
    state: str
    ping_s: int
    answers: bool
    calls: int
    failed: int


@dataclass(frozen=True, slots=True)
class Profile:
    """A SIP profile in `sofia status`; `tls` whether it listens for TLS too."""

    state: str
    tls: bool = False

    @property
    def running(self) -> bool:
        return self.state.startswith("RUNNING")


def read_version(reply: str) -> tuple[int, int, int] | None:
    """Major, minor and patch of ``FreeSWITCH Version 1.11.3-dev+git…``; None if the reply holds no version."""
    match = re.search(r"Version (\d+)\.(\d+)(?:\.(\d+))?", reply)
    return (int(match[1]), int(match[2]), int(match[3] or 0)) if match else None


def read_status(reply: str) -> Status | None:
    """The reply to `status`; None if one of the figures is not in it."""
    sessions = re.search(r"^(\d+) session\(s\) - peak", reply, re.MULTILINE)
    rate = re.search(r"session\(s\) per Sec out of max (\d+)", reply)
    most = re.search(r"^(\d+) session\(s\) max", reply, re.MULTILINE)
    if sessions is None or rate is None or most is None:
        return None
    return Status(int(sessions[1]), int(most[1]), int(rate[1]))


def read_truth(reply: str) -> bool | None:
    """The reply to a question that is answered by true or false; None for anything else."""
    return {"true": True, "false": False}.get(reply.strip())


def read_value(reply: str) -> str | None:
    """The reply to `global_getvar`; None for a variable that is not set (``-ERR no reply``)."""
    value = reply.strip()
    return None if not value or value.startswith("-ERR") else value


def read_gateway(reply: str) -> Gateway | None:
    """The reply to `sofia status gateway`; None for an unknown one (``Invalid Gateway!``) or another text."""
    rows = (line.partition("\t") for line in reply.splitlines())
    facts = {name.strip(): value.strip() for name, tab, value in rows if tab}
    if "Status" not in facts or "State" not in facts:
        return None

    def number(name: str) -> int:
        value = facts.get(name, "")
        return int(value) if value.isdecimal() else 0

    # ``PingState  min/count/max``: the count of answers in a row. ``Status  UP (ping)`` while it is being asked.
    count = facts.get("PingState", "").split("/")
    return Gateway(
        profile=facts.get("Profile", ""),
        status=facts["Status"].removesuffix("(ping)").strip(),
        state=facts["State"],
        ping_s=number("PingFreq"),
        answers=len(count) == 3 and count[1].isdecimal() and int(count[1]) > 0,
        calls=number("CallsOUT"),
        failed=number("FailedCallsOUT"),
    )


def read_profiles(reply: str) -> dict[str, Profile]:
    """SIP profiles in the reply to `sofia status`: a row each, and a further one for TLS."""
    rows = ([cell.strip() for cell in line.split("\t")] for line in reply.splitlines())
    found: dict[str, Profile] = {}
    for row in rows:
        if len(row) != 4 or row[1] != "profile":
            continue
        name, state = row[0], row[3]
        tls = state.endswith("(TLS)")
        known = found.get(name)
        # TLS alone is no UDP or TCP, but the profile runs.
        found[name] = Profile(known.state if known is not None else state, tls or (known is not None and known.tls))
    return found


def read_profile_params(reply: str, profile: str) -> dict[str, str] | None:
    """A profile's parameters in sofia.conf, as `xml_locate` prints it; None if they are not there.

    Gateways' parameters, passwords among them, are left out.
    """
    root = _xml(reply)
    for each in root.iter("profile") if root is not None else ():
        if each.get("name") == profile:
            settings = each.find("settings")
            return _params(settings) if settings is not None else {}
    return None


def read_socket(reply: str) -> dict[str, str] | None:
    """The parameters of event_socket.conf, but for the password; None if it cannot be read."""
    root = _xml(reply)
    if root is None or root.tag != "configuration":
        return None
    return {name: value for name, value in _params(root).items() if name != "password"}


def read_language(reply: str) -> tuple[str, str | None] | None:
    """Module and sound prefix (None: the node's own) of a language; None if the node does not know the language."""
    root = _xml(reply)
    if root is None or root.tag != "language":
        return None
    module = root.get("say-module") or root.get("module") or root.get("name") or ""
    return module, root.get("sound-prefix") or root.get("sound-path") or root.get("sound_path")


def read_rooms(reply: str) -> frozenset[str] | None:
    """The profiles of conferences in conference.conf; None if it cannot be read."""
    root = _xml(reply)
    if root is None:
        return None
    return frozenset(each.get("name", "") for each in root.iter("profile"))


def read_context(reply: str) -> bool:
    """Whether the dialplan's XML has the context that was asked for."""
    root = _xml(reply)
    return root is not None and root.tag == "context"


def is_true(value: str) -> bool:
    """What FreeSWITCH takes for true (switch_true)."""
    word = value.strip().lower()
    return word in ("yes", "on", "true", "t", "enabled", "active", "allow") or (word.isdecimal() and int(word) != 0)


def _params(element: ET.Element) -> dict[str, str]:
    return {each.get("name", ""): each.get("value", "") for each in element.iter("param")}


def _xml(reply: str) -> ET.Element | None:
    """None as well for ``can't find anything``, which a node says whose configuration comes from elsewhere."""
    try:
        return ET.fromstring(reply)
    except ET.ParseError:
        return None
