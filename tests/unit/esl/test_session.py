"""Replies to their commands, jobs to their uuids: over recorded conversations, and when things go wrong."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsbridge.esl import session as module
from fsbridge.esl.commands import Api, BgApi, Echo, Line, Subscribe
from fsbridge.esl.errors import CommandFailed, EslConnectionLost, EslError, EslProtocolError
from fsbridge.esl.events import AuthRequest, Disconnect, Event
from fsbridge.esl.session import EslSession, JobResult, Ticket, read_job
from fsbridge.model.ids import JobUuid
from tests.traces import loader

pytestmark = pytest.mark.unit

JOB = JobUuid("b523630d-9b48-44a6-b8ac-10be25631cd5")


class Peer:
    """A session with a list of what its commands were told."""

    def __init__(self) -> None:
        self.session = EslSession()
        self.told: list[tuple[str, str | EslError]] = []
        self.jobs: list[JobResult | EslError] = []

    def send(self, text: str) -> Ticket:
        return self.session.send(Line(text), lambda outcome: self.told.append((text, outcome)))[1]

    def receive(self, data: bytes) -> list[module.Outward]:
        return list(self.session.receive_data(data))


def reply(text: str) -> bytes:
    return f"Content-Type: command/reply\nReply-Text: {text}\n\n".encode()


def printed(text: str) -> bytes:
    body = text.encode()
    return b"Content-Type: api/response\nContent-Length: %d\n\n" % len(body) + body


def job_end(job: str, body: str) -> bytes:
    inner = f"Event-Name: BACKGROUND_JOB\nJob-UUID: {job}\nContent-Length: {len(body)}\n\n{body}".encode()
    return b"Content-Type: text/event-plain\nContent-Length: %d\n\n" % len(inner) + inner


@pytest.mark.parametrize("name", loader.names())
def test_in_a_recorded_conversation_every_reply_meets_its_command(name: str) -> None:
    peer = Peer()
    asked: list[str] = []
    events = 0
    for _, direction, raw in loader.conversation(name):
        if direction == "send":
            asked.append(raw.decode().split("\n")[0])
            peer.send(asked[-1])
        elif direction == "recv":
            events += sum(isinstance(message, Event) for message in peer.receive(raw))
    answered = [command for command, _ in peer.told]
    assert answered == asked[: len(answered)]
    assert peer.session.pending == len(asked) - len(answered)
    assert peer.session.counters.stray_replies == 0
    assert peer.session.counters.events == events
    for command, outcome in peer.told:
        if command.startswith("bgapi") and isinstance(outcome, str):
            assert outcome.startswith("+OK Job-UUID: ")


def test_a_refused_command_says_which_and_why() -> None:
    peer = Peer()
    peer.send("bogus command")
    peer.receive(reply("-ERR command not found"))
    ((_, error),) = peer.told
    assert isinstance(error, CommandFailed)
    assert (str(error), error.reply) == ("bogus: -ERR command not found", "-ERR command not found")


def test_what_an_api_command_prints_is_never_a_failure() -> None:
    peer = Peer()
    peer.session.send(Api("uuid_exists x"), lambda outcome: peer.told.append(("api", outcome)))
    peer.receive(printed("-ERR No such channel!\n"))
    assert peer.told == [("api", "-ERR No such channel!\n")]


def test_the_late_reply_of_a_command_given_up_is_not_the_next_ones() -> None:
    peer = Peer()
    peer.send("first").abandoned = True
    peer.send("second")
    peer.receive(reply("+OK first"))
    assert peer.told == []
    peer.receive(reply("+OK second"))
    assert peer.told == [("second", "+OK second")]


def test_a_reply_nobody_asked_for_is_counted_and_harms_nothing() -> None:
    peer = Peer()
    peer.receive(reply("+OK out of the blue"))
    peer.send("first")
    peer.receive(reply("+OK first"))
    assert peer.session.counters.stray_replies == 1
    assert peer.told == [("first", "+OK first")]


@pytest.mark.parametrize("early", [True, False])
def test_a_job_ends_before_or_after_its_commands_reply(early: bool) -> None:
    peer = Peer()
    peer.session.expect_job(JOB, peer.jobs.append)
    peer.session.send(BgApi("originate x", JOB), lambda outcome: peer.told.append(("bgapi", outcome)))
    parts = [reply(f"+OK Job-UUID: {JOB}"), job_end(JOB, "-ERR USER_BUSY\n")]
    for part in reversed(parts) if early else parts:
        peer.receive(part)
    assert peer.told == [("bgapi", f"+OK Job-UUID: {JOB}")]
    assert peer.jobs == [JobResult(False, "USER_BUSY")]
    assert peer.session.pending == 0


def test_a_refused_job_is_not_waited_for() -> None:
    peer = Peer()
    peer.session.expect_job(JOB, peer.jobs.append)
    peer.session.send(BgApi("originate x", JOB), lambda outcome: peer.told.append(("bgapi", outcome)))
    peer.receive(reply("-ERR no thread"))
    assert isinstance(peer.told[0][1], CommandFailed)
    assert peer.session.pending == 0


def test_jobs_of_others_and_forgotten_ones_are_only_events() -> None:
    peer = Peer()
    peer.session.expect_job(JOB, peer.jobs.append)
    peer.session.forget_job(JOB)
    (event,) = peer.receive(job_end(JOB, "+OK x"))
    assert isinstance(event, Event)
    assert peer.jobs == []


def test_a_lost_connection_fails_everything_once_and_spares_who_gave_up() -> None:
    peer = Peer()
    peer.send("first").abandoned = True
    peer.send("second")
    peer.session.expect_job(JOB, peer.jobs.append)
    lost = EslConnectionLost("gone")
    peer.session.fail_all(lost)
    peer.session.fail_all(EslConnectionLost("again"))
    assert peer.told == [("second", lost)]
    assert peer.jobs == [lost]
    assert peer.session.pending == 0


def test_a_peer_that_answers_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_AWAITING", 3)
    peer = Peer()
    for number in range(3):
        peer.send(f"command{number}").abandoned = True
    with pytest.raises(EslProtocolError, match="3 commands without a reply"):
        peer.send("one more")


def test_what_came_before_a_fault_is_handed_out_first() -> None:
    peer = Peer()
    peer.send("first")
    found = peer.session.receive_data(
        b"Content-Type: auth/request\n\n" + reply("+OK") + b"Content-Type: x\n\nContent-Length: ?\n\n"
    )
    assert next(found) == AuthRequest()
    with pytest.raises(EslProtocolError):
        next(found)
    assert peer.told == [("first", "+OK")]
    assert peer.session.counters.unknown_frames == 1


def test_notices_go_outward() -> None:
    peer = Peer()
    assert peer.receive(b"Content-Type: text/disconnect-notice\nContent-Length: 3\n\nbye") == [Disconnect("bye")]


@pytest.mark.parametrize(
    ("body", "result"),
    [
        ("+OK 3a3ef354\n", JobResult(True, "3a3ef354")),
        ("-ERR NO_ANSWER\n", JobResult(False, "NO_ANSWER")),
        ("-ERR", JobResult(False, "")),
        ("true", JobResult(True, "true")),
        ("", JobResult(True, "")),
        ("some +OK inside", JobResult(True, "some +OK inside")),
    ],
)
def test_a_jobs_result(body: str, result: JobResult) -> None:
    assert read_job(body) == result


@settings(deadline=None)
@given(st.lists(st.sampled_from(["send", "abandon", "reply", "event"]), max_size=30))
def test_replies_keep_to_their_commands_in_every_order(moves: list[str]) -> None:
    peer = Peer()
    tickets: list[Ticket] = []
    replied = 0
    for move in moves:
        if move == "send":
            tickets.append(peer.send(f"c{len(tickets)}"))
        elif move == "abandon" and tickets:
            tickets[-1].abandoned = True
        elif move == "reply" and replied < len(tickets):
            peer.receive(reply(f"+OK c{replied}"))
            replied += 1
        elif move == "event":
            peer.receive(job_end(JOB, "+OK"))
    assert all(outcome == f"+OK {command}" for command, outcome in peer.told)
    assert peer.session.pending == len(tickets) - replied


# --- replies that name their command ---------------------------------------------------------------------------

WORD = "8b6a4e29-6c1f-4a8e-9f70-9c83b3c6f2b1"
OTHER_JOB = JobUuid("0e2b4a55-1d0c-4f5e-8a55-6a6f6f1f9b11")


def test_a_word_in_its_own_place_says_that_no_reply_is_missing() -> None:
    peer = Peer()
    peer.send("slow").abandoned = True
    peer.session.send(Echo(WORD), lambda outcome: peer.told.append(("echo", outcome)))
    peer.receive(printed("at last") + printed(WORD))
    assert peer.told == [("echo", WORD)]


def test_a_word_in_anothers_place_says_that_a_reply_is_missing() -> None:
    peer = Peer()
    peer.send("never answered").abandoned = True
    peer.session.send(Echo(WORD), lambda outcome: peer.told.append(("echo", outcome)))
    with pytest.raises(EslProtocolError, match="a reply is missing: never was given that of another command"):
        peer.receive(printed(WORD))
    assert peer.told == []


def test_a_word_said_to_nobody() -> None:
    peer = Peer()
    peer.session.send(Echo(WORD), lambda outcome: peer.told.append(("echo", outcome)))
    peer.receive(printed(WORD))
    with pytest.raises(EslProtocolError, match="nobody was given"):
        peer.receive(printed(WORD))


def test_a_node_that_knows_no_echo_answers_in_its_place_all_the_same() -> None:
    peer = Peer()
    peer.session.send(Echo(WORD), lambda outcome: peer.told.append(("echo", outcome)))
    peer.receive(printed("-ERR echo Command not found!\n"))
    assert peer.told == [("echo", "-ERR echo Command not found!\n")]


def test_a_jobs_reply_in_anothers_place_says_that_a_reply_is_missing() -> None:
    def named(job: str) -> bytes:
        return f"Content-Type: command/reply\nReply-Text: +OK Job-UUID: {job}\nJob-UUID: {job}\n\n".encode()

    peer = Peer()
    peer.session.send(BgApi("originate x", JOB), lambda outcome: peer.told.append(("first", outcome)))
    with pytest.raises(EslProtocolError, match="bgapi originate was given that of another"):
        peer.receive(named(OTHER_JOB))
    other = Peer()
    other.session.send(Subscribe(("HEARTBEAT",)), lambda outcome: other.told.append(("event", outcome)))
    with pytest.raises(EslProtocolError, match="event was given that of another"):
        other.receive(named(JOB))
    own = Peer()
    own.session.send(BgApi("originate x", JOB), lambda outcome: own.told.append(("bgapi", outcome)))
    own.receive(named(JOB))
    assert own.told == [("bgapi", f"+OK Job-UUID: {JOB}")]
