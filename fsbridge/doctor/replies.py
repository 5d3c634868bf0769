"""What a node's replies to the doctor's questions say. Pure; held to tests/traces node_queries.

A reply that is not understood gives None, never a guess.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Status:
    """What `status` tells. `ready` is False for a node that takes no new calls."""

    ready: bool
    sessions: int
    max_sessions: int
    max_rate: int


@dataclass(frozen=True, slots=True)
class Gateway:
    """What `sofia status gateway` tells; `pinged` says whether FreeSWITCH watches it with OPTIONS."""

    status: str
    state: str
    pinged: bool
    calls: int
    failed: int


def read_version(reply: str) -> tuple[int, int] | None:
    """Major and minor of ``FreeSWITCH Version 1.11.3-dev+git…``; None if the reply holds no version."""
    match = re.search(r"Version (\d+)\.(\d+)", reply)
    return (int(match[1]), int(match[2])) if match else None


def read_status(reply: str) -> Status | None:
    """The limits and the readiness in the reply to `status`; None if one of them is not in it."""
    ready = re.search(r"^FreeSWITCH \(.*\) is (.+)$", reply, re.MULTILINE)
    sessions = re.search(r"^(\d+) session\(s\) - peak", reply, re.MULTILINE)
    rate = re.search(r"session\(s\) per Sec out of max (\d+)", reply)
    most = re.search(r"^(\d+) session\(s\) max", reply, re.MULTILINE)
    if ready is None or sessions is None or rate is None or most is None:
        return None
    return Status(ready[1].strip() == "ready", int(sessions[1]), int(most[1]), int(rate[1]))


def read_gateway(reply: str) -> Gateway | None:
    """The reply to `sofia status gateway`; None for an unknown one (``Invalid Gateway!``) or another text."""
    rows = (line.partition("\t") for line in reply.splitlines())
    facts = {name.strip(): value.strip() for name, tab, value in rows if tab}
    if "Status" not in facts or "State" not in facts:
        return None

    def number(name: str) -> int:
        value = facts.get(name, "")
        return int(value) if value.isdecimal() else 0

    return Gateway(
        status=facts["Status"],
        state=facts["State"],
        pinged=number("PingFreq") > 0,
        calls=number("CallsOUT"),
        failed=number("FailedCallsOUT"),
    )


def read_profiles(reply: str) -> dict[str, str]:
    """SIP profiles and their states in the reply to `sofia status`."""
    rows = ([cell.strip() for cell in line.split("\t")] for line in reply.splitlines())
    return {row[0]: row[3] for row in rows if len(row) == 4 and row[1] == "profile"}
