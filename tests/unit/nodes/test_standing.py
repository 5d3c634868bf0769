"""How a node stands: what its answers mean, held to recorded ones, and what of it keeps calls away."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsbridge.esl.events import Event
from fsbridge.nodes.standing import DOUBTFUL, QUESTIONS, Health, Standing, read_health, read_standing, reason
from tests.traces import loader
from tests.unit.esl.test_events import events

pytestmark = pytest.mark.unit

FREE = Health(3, 1_000, 50, 30, 97.5)
FULL = Health(1_000, 1_000, 50, 30, 97.5)


def said(name: str) -> list[tuple[Standing, str]]:
    """What the recorded answers to our questions come to, each time they were asked, and how the next call ended."""
    found: list[tuple[Standing, str]] = []
    answers: dict[str, str] = {}
    commands = loader.sent(name)
    replies = [
        raw for raw in loader.received(name) if not raw.startswith(b"Content-Length") or b"event-json" not in raw
    ]
    replies = [raw for raw in replies if b"auth/request" not in raw]
    ends = [event.body.strip() for event in events(name) if event.name == "BACKGROUND_JOB"]
    for command, reply in zip(commands, replies, strict=False):
        text = command.decode().strip()
        if text.removeprefix("api ") in QUESTIONS:
            answers[text.removeprefix("api ")] = reply.partition(b"\n\n")[2].decode()
        if len(answers) == len(QUESTIONS):
            found.append((read_standing(*(answers[question] for question in QUESTIONS)), ""))
            answers = {}
        if text.startswith("bgapi originate"):
            before = found.pop()[0] if found else Standing.OPEN
            found.append((before, ends.pop(0)))
    return found


def test_a_paused_node_as_recorded() -> None:
    """Paused altogether, outbound only, inbound only; open in between. The last call comes in at the same node."""
    out_of_order = "-ERR DESTINATION_OUT_OF_ORDER"
    assert said("standing_paused") == [
        (Standing.OPEN, ""),
        (Standing.PAUSED, out_of_order),
        (Standing.OPEN, ""),
        (Standing.PAUSED, out_of_order),
        (Standing.OPEN, ""),
        (Standing.OPEN, "-ERR NORMAL_TEMPORARY_FAILURE"),
        (Standing.OPEN, ""),
    ]


def test_a_node_that_goes_down_as_recorded() -> None:
    assert said("standing_shut_down") == [
        (Standing.OPEN, "+OK 5b0c1a70-3d52-4c40-9b59-000000000020"),
        (Standing.OPEN, ""),
        (Standing.CLOSING, "-ERR CHAN_NOT_IMPLEMENTED"),
        (Standing.CLOSING, ""),
    ]
    causes = {event.headers.get("Hangup-Cause") for event in events("standing_shut_down")} - {None}
    assert causes == {"SYSTEM_SHUTDOWN"}


def test_every_cause_that_a_node_in_a_bad_state_gives_makes_it_worth_while_to_ask() -> None:
    assert {"DESTINATION_OUT_OF_ORDER", "CHAN_NOT_IMPLEMENTED", "SYSTEM_SHUTDOWN"} <= DOUBTFUL
    assert not {"USER_BUSY", "NO_ANSWER", "NORMAL_CLEARING"} & DOUBTFUL


@given(st.text(), st.text())
def test_only_a_plain_answer_speaks_against_a_node(paused: str, ready: str) -> None:
    """One that does not know the question answers with its usage."""
    standing = read_standing(paused, ready)
    assert (standing is Standing.OPEN) == (paused.strip() != "true" and ready.strip() != "false")


@pytest.mark.parametrize(
    ("standing", "health", "draining", "words"),
    [
        (Standing.OPEN, None, False, ""),
        (Standing.OPEN, FREE, False, ""),
        (Standing.OPEN, Health(5, 0, 0, 0, 0.0), False, ""),
        (Standing.OPEN, FULL, False, "full: 1000 of 1000 sessions"),
        (Standing.PAUSED, FREE, False, "paused until fsctl resume"),
        (Standing.CLOSING, None, False, "shutting down"),
        (Standing.SILENT, FREE, False, "it does not answer whether it takes calls"),
        (Standing.OPEN, FREE, True, "drained"),
    ],
)
def test_why_a_node_takes_no_calls(standing: Standing, health: Health | None, draining: bool, words: str) -> None:
    assert reason(standing, health, draining) == words


def test_a_recorded_heartbeat() -> None:
    """The limit and the peak are two figures."""
    beats = [read_health(found) for name in loader.names() for found in events(name) if found.name == "HEARTBEAT"]
    assert beats
    for health in beats:
        assert health.max_sessions > 0
        assert health.sessions_per_second > 0
        assert health.peak_per_second >= 0
        assert 0 <= health.idle_cpu <= 100
    # The node of most recordings was set to 50 a second, and had seen less.
    assert any(health.peak_per_second < health.sessions_per_second == 50 for health in beats)


@pytest.mark.parametrize("text", ["", "many", "nan", "inf", "-inf", "1e400"])
def test_a_heartbeat_of_nonsense_counts_as_nothing(text: str) -> None:
    names = ("Session-Count", "Max-Sessions", "Session-Per-Sec", "Session-Per-Sec-Max", "Idle-CPU")
    assert read_health(Event("HEARTBEAT", "", dict.fromkeys(names, text))) == Health(0, 0, 0, 0, 0.0)
    assert read_health(Event("HEARTBEAT", "", {})) == Health(0, 0, 0, 0, 0.0)
