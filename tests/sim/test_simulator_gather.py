"""Digits: how a gather ends and what it leaves, how digits are sent, what ends a sentence. As a real node answered."""

from __future__ import annotations

import pytest

from fsbridge.simulator import FarEndBook, parse_script
from tests.sim.simulator_helpers import Bench, bench

pytestmark = pytest.mark.sim

A = "aaaaaaaa-0000-4000-8000-000000000001"
B = "bbbbbbbb-0000-4000-8000-000000000002"
QUIET = FarEndBook((parse_script("one", "*", [{"ring": 0.2}, "answer", {"silence": 600}]),))


def gathered(b: Bench, asked: str, digits: str, *, identity: str = "g") -> dict[str, str]:
    """Gather while the far end presses these, a digit each 0.3 s, from 0.6 s on (after the prompt); the completion."""
    least, most, tries, pattern = asked.split()
    argument = f"{least} {most} {tries} 2000 # silence_stream://300 silence_stream://250 menu {pattern} 1000"
    b.execute(A, "play_and_get_digits", argument, identity)
    b.advance(0.6)
    for digit in digits:
        b.client.api(f"uuid_recv_dtmf {A} {digit}")
        b.advance(0.3)
    b.advance(6)
    return b.client.wait_event("CHANNEL_EXECUTE_COMPLETE", Application_UUID=identity).event


def left(event: dict[str, str]) -> tuple[str | None, ...]:
    return tuple(
        event.get(f"variable_{name}") for name in ("read_result", "menu", "menu_invalid", "read_terminator_used")
    )


@pytest.mark.parametrize(
    ("asked", "digits", "expected"),
    [
        ("1 3 1 ^[0-9]+$", "", ("failure", None, None, None)),
        ("0 3 1 ^[0-9]+$", "", ("timeout", None, None, None)),
        ("0 3 1 ^[0-9]*$", "#", ("success", None, None, "#")),
        ("1 3 1 ^[0-9]+$", "#", ("failure", None, None, "#")),
        ("1 3 1 ^5$", "1#", ("success", None, "1", "#")),
        ("2 3 1 ^[0-9]+$", "1", ("failure", "1", None, None)),
        ("2 3 1 ^[0-9]+$", "1#", ("failure", "1", None, "#")),
        ("1 3 1 ^[0-9]+$", "12", ("timeout", "12", None, None)),
        ("1 3 1 ^[0-9]+$", "123", ("success", "123", None, None)),
        ("1 3 2 ^5$", "1", ("failure", None, "1", None)),
    ],
)
def test_what_a_gather_leaves(asked: str, digits: str, expected: tuple[str | None, ...]) -> None:
    with bench(far_ends=QUIET) as b:
        b.answered("1", A)
        assert left(gathered(b, asked, digits)) == expected


def test_which_key_ended_an_earlier_gather_stays_but_not_what_was_invalid() -> None:
    with bench(far_ends=QUIET) as b:
        b.answered("1", A)
        gathered(b, "1 3 1 ^5$", "1#", identity="first")
        assert left(gathered(b, "1 3 1 ^[0-9]+$", "12", identity="second")) == ("timeout", "12", None, "#")


@pytest.mark.parametrize(("digits", "seconds"), [("", 2.55), ("#", 0.85)])
def test_how_long_it_takes(digits: str, seconds: float) -> None:
    """The prompt, the wait, and the prompt for what was wrong; a lone terminator ends the wait at once."""
    with bench(far_ends=QUIET) as b:
        b.answered("1", A)
        start = int(b.simulator.node.scheduler.wall() * 1e6)
        done = gathered(b, "1 3 1 ^[0-9]+$", digits)
        assert (int(done["Event-Date-Timestamp"]) - start) / 1e6 == pytest.approx(seconds, abs=0.06)


def test_being_broken_off_ends_the_prompt_and_never_the_wait() -> None:
    with bench(far_ends=QUIET) as b:
        b.answered("1", A)
        argument = "1 3 1 4000 # silence_stream://9000 silence_stream://250 menu ^[0-9]+$ 1000"
        b.execute(A, "play_and_get_digits", argument, "g")
        b.advance(1)
        b.client.api(f"uuid_break {A} all")
        b.advance(1)
        b.client.api(f"uuid_break {A} all")
        b.advance(2.8)
        assert "g" not in [f.event.get("Application-UUID") for f in b.client.events if "COMPLETE" in f.name]
        b.advance(1)
        done = b.client.wait_event("CHANNEL_EXECUTE_COMPLETE", Application_UUID="g").event
        assert done["variable_read_result"] == "failure"


@pytest.mark.parametrize("command", ["uuid_transfer {} park inline", "uuid_kill {}"])
def test_being_taken_elsewhere_ends_the_wait(command: str) -> None:
    with bench(far_ends=QUIET) as b:
        b.answered("1", A)
        b.execute(A, "play_and_get_digits", "1 3 1 9000 # silence_stream://10 silence_stream://250 m ^1$ 1000", "g")
        b.advance(1)
        b.client.api(command.format(A))
        b.advance(0.2)
        assert b.client.wait_event("CHANNEL_EXECUTE_COMPLETE", Application_UUID="g")


@pytest.mark.parametrize("before", ["park", "playback", "speak"])
def test_what_was_pressed_before_is_lost(before: str) -> None:
    arguments = {"playback": "silence_stream://1500", "speak": "flite|slt|a sentence that is long enough for it"}
    with bench(far_ends=QUIET) as b:
        b.answered("1", A)
        if before != "park":
            b.execute(A, before, arguments[before], "b")
        b.advance(0.5)
        b.client.api(f"uuid_recv_dtmf {A} 12")
        b.advance(5)
        assert left(gathered(b, "1 3 1 ^[0-9]+$", ""))[:2] == ("failure", None)


@pytest.mark.parametrize(("digit", "ends"), [("*", True), ("#", False), ("1", False)])
def test_the_star_ends_a_sentence(digit: str, ends: bool) -> None:
    with bench(far_ends=QUIET) as b:
        b.answered("1", A)
        b.execute(A, "speak", "flite|slt|this is a sentence that is long enough to press keys in", "s")
        b.advance(0.5)
        b.client.api(f"uuid_recv_dtmf {A} {digit}")
        b.advance(0.1)
        over = "s" in [f.event.get("Application-UUID") for f in b.client.events if "COMPLETE" in f.name]
        assert over is ends
        b.advance(6)
        done = b.client.wait_event("CHANNEL_EXECUTE_COMPLETE", Application_UUID="s").event
        assert done.get("variable_playback_terminator_used") == ("*" if ends else None)


@pytest.mark.parametrize(
    ("argument", "moments"),
    [
        ("1234#@200", [0.22, 0.69, 1.16, 1.63, 2.10]),
        ("5w6@100", [0.12, 0.99]),
        ("12", [0.27, 0.79]),
        ("7W8", [0.27, 1.79]),
    ],
)
def test_digits_follow_when_the_application_is_long_over(argument: str, moments: list[float]) -> None:
    with bench(far_ends=QUIET) as b:
        b.answered("1", A)
        heard: list[float] = []
        channel = b.simulator.node.channels[A]
        start = b.clock.monotonic()
        channel.on_digit_sent = lambda digit: heard.append(round(channel.now() - start - 0.02, 2))
        b.execute(A, "send_dtmf", argument, "d")
        b.advance(0.1, step=0.01)
        assert b.client.wait_event("CHANNEL_EXECUTE_COMPLETE", Application_UUID="d")
        b.advance(4)
        assert heard == pytest.approx(moments, abs=0.011)


def test_a_bridge_that_rings_is_not_ended_by_a_break() -> None:
    with bench(far_ends=FarEndBook((parse_script("r", "2", [{"ring": 60}]), *QUIET.entries))) as b:
        b.answered("1", A)
        b.execute(A, "bridge", "sofia/gateway/carrier/2", "b")
        b.advance(1)
        b.client.api(f"uuid_break {A} all")
        b.advance(1)
        assert "b" not in [f.event.get("Application-UUID") for f in b.client.events if "COMPLETE" in f.name]
        b.client.api(f"uuid_transfer {A} park inline")
        b.advance(0.2)
        assert b.client.wait_event("CHANNEL_EXECUTE_COMPLETE", Application_UUID="b")
