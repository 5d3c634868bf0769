"""The doctor on profiles and gateways: are they there, are they watched, and may far ends move our calls?"""

from __future__ import annotations

from typing import Any

import pytest

from fsbridge.doctor.findings import Level
from fsbridge.doctor.sip import SOFIA
from tests.unit.doctor.recorded import ALL, PREPARED, examine

pytestmark = pytest.mark.unit

PROFILE = PREPARED["sofia status"]
LOOP = ALL["sofia status gateway loop"][1]


def trunk(*, gateway: str = "loop", **more: object) -> dict[str, Any]:
    return {"trunks": [{"name": "t", "gateways": [gateway], "caller_id": "100", **more}]}


@pytest.mark.parametrize(
    ("reply", "level", "change"),
    [
        (LOOP, Level.OK, ""),
        (ALL["sofia status gateway loop"][0], Level.WARNING, "this again in 30 s"),
        ("Invalid Gateway!\n", Level.PROBLEM, "loop.xml"),
        (LOOP.replace("Status  \tUP", "Status  \tDOWN"), Level.PROBLEM, "killgw loop"),
        (LOOP.replace("Status  \tUP", "Status  \tUP (ping)"), Level.OK, ""),
        (LOOP.replace("NOREG", "FAIL_WAIT"), Level.PROBLEM, "password"),
        (LOOP.replace("NOREG", "REGED").replace("1/1/1", "1/0/1"), Level.OK, ""),
        (LOOP.replace("PingFreq\t30", "PingFreq\t0"), Level.WARNING, '<param name="ping" value="30"/>'),
        (
            LOOP.replace("\nCallsOUT\t0", "\nCallsOUT\t7").replace("FailedCallsOUT\t0", "FailedCallsOUT\t7"),
            Level.WARNING,
            "ask the carrier",
        ),
    ],
)
def test_a_gateway(reply: str, level: Level, change: str) -> None:
    found = examine({"sofia status gateway loop": reply})["gateway loop"]
    assert found.level is level
    assert change in found.change
    assert bool(found.change) == (level is not Level.OK)


def test_recorded_gateways_that_are_not_there_or_not_watched() -> None:
    gone = {"sofia status gateway carrier": ALL["sofia status gateway carrier"][1]}
    assert examine(gone, **trunk(gateway="carrier"))["gateway carrier"].level is Level.PROBLEM
    assert examine(**trunk(gateway="far"))["gateway far"].level is Level.WARNING
    assert examine(**trunk(gateway="nosuch"))["gateway nosuch"].level is Level.PROBLEM


def test_a_profile_is_no_problem_where_no_sip_uri_is_dialled() -> None:
    assert examine({"sofia status": ""})["SIP profile"].level is Level.PROBLEM
    assert examine({"sofia status": ""}, **trunk(sip_uris=False))["SIP profile"].level is Level.WARNING


def test_a_trunk_that_promises_tls_needs_a_profile_that_has_it() -> None:
    assert examine(**trunk(tls=True))["SIP profile"].level is Level.OK
    clear = "\n".join(line for line in PROFILE.splitlines() if "(TLS)" not in line)
    found = examine({"sofia status": clear}, **trunk(tls=True))["SIP profile"]
    assert found.level is Level.PROBLEM
    assert "trunk t promises" in found.text
    assert examine({"sofia status": clear})["SIP profile"].level is Level.OK


def test_far_ends_may_not_transfer_our_calls() -> None:
    found = examine()["far ends"]
    assert (found.level, found.text) == (Level.OK, "cannot transfer our calls (external)")
    open_ = PREPARED[SOFIA].replace('name="disable-transfer" value="true"', 'name="disable-transfer" value="false"')
    unset = PREPARED[SOFIA].replace('<param name="disable-transfer" value="true"></param>', "")
    for reply in (open_, unset):
        found = examine({SOFIA: reply})["far ends"]
        assert found.level is Level.PROBLEM
        assert '<param name="disable-transfer" value="true"/> in sip_profiles/external.xml' in found.change
        assert "restart" in found.change
    assert examine({SOFIA: "can't find anything\n"})["far ends"].level is Level.WARNING


def test_the_profile_of_the_gateway_counts_too() -> None:
    """`fsbridge_test` has no disable-transfer; it matters once calls go by it."""
    elsewhere = {"sofia status gateway loop": LOOP.replace("Profile \texternal", "Profile \tfsbridge_test")}
    found = examine(elsewhere, **trunk(sip_uris=False))["far ends"]
    assert (found.level, "fsbridge_test" in found.text) == (Level.PROBLEM, True)
