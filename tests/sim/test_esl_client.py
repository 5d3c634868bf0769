"""The event-socket client against real sockets: peers that keep the protocol, and peers that do not."""

from __future__ import annotations

import contextlib
import socket as plain
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import gevent
import pytest
from gevent import monkey, socket
from gevent.event import Event as Flag
from gevent.threadpool import ThreadPool

from fsbridge.clock import SystemClock
from fsbridge.esl.client import EslClient
from fsbridge.esl.commands import Api, Line
from fsbridge.esl.errors import (
    CommandError,
    CommandFailed,
    CommandTimeout,
    EslAuthRejected,
    EslConnectionLost,
    EslError,
    EslProtocolError,
)
from fsbridge.esl.events import Event
from fsbridge.esl.session import JobResult
from fsbridge.model.ids import ActionId, ChannelUuid, JobUuid, is_uuid, new_uuid
from fsbridge.supervise import Supervisor
from tests.traces import loader
from tests.unit.esl.peers import PATIENCE_S, Connection, Peer, event, eventually, printed

pytestmark = pytest.mark.sim

CHANNEL = ChannelUuid("d7f3cae4-6f18-4ab2-8619-43da909380f4")
ACTION = ActionId("3607f4a7-e66b-4894-97ac-79602c0f8e7f")
JOB = JobUuid("e0e0807d-c41b-4cca-a454-2561d2f476de")
CLOCK = SystemClock()

Script = Callable[[Connection], None]


class Bench:
    """Makes peers and clients and lets go of them at the end."""

    def __init__(self) -> None:
        self.supervisor = Supervisor()
        self.events: list[Event] = []
        self.peers: list[Peer] = []
        self.clients: list[EslClient] = []

    def peer(self, script: Script, **options: Any) -> Peer:
        self.peers.append(Peer(script, self.supervisor, **options))
        return self.peers[-1].start()

    def client(self, port: int, **options: Any) -> EslClient:
        settings: dict[str, Any] = {"connect_timeout_s": 2.0, "command_timeout_s": 2.0, "on_event": self.events.append}
        self.clients.append(EslClient("127.0.0.1", port, "ClueCon", self.supervisor, **(settings | options)))
        return self.clients[-1]

    def connected(self, after_login: Script, **options: Any) -> tuple[EslClient, Peer]:
        def script(connection: Connection) -> None:
            connection.log_in()
            after_login(connection)

        peer = self.peer(script)
        client = self.client(peer.port, **options)
        client.connect()
        return client, peer

    def beside(self, task: Callable[[], Any]) -> gevent.Greenlet[..., Any]:
        """Run a command in a greenlet of its own; its result is the value or the error."""

        def kept() -> Any:
            try:
                return task()
            except EslError as error:
                return error

        return self.supervisor.spawn("test", kept)

    def close(self) -> None:
        for peer in self.peers:
            peer.close()
        for client in self.clients:
            client.stop()
        self.supervisor.stop()


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.close()


def result(greenlet: gevent.Greenlet[..., Any]) -> Any:
    return greenlet.get(timeout=PATIENCE_S)


def echo(command: str) -> bytes:
    """The command itself as what it prints; and what a node prints for `echo`, which the client asks in doubt."""
    word = command.removeprefix("api echo ")
    return printed(word if is_uuid(word) else command)


def silence(connection: Connection) -> None:
    connection.until_closed()


def _keep_open(over: Flag) -> None:
    """Read nothing, and do not close either, until the test is over."""
    over.wait(PATIENCE_S)


def socket_of(client: EslClient) -> socket.socket:
    assert client.sock is not None
    return client.sock


# --- connecting --------------------------------------------------------------------------------------------------


def test_log_in_and_every_kind_of_command(bench: Bench) -> None:
    def answer(command: str) -> bytes:
        return echo(command) if command.startswith("api") else b"Content-Type: command/reply\nReply-Text: +OK\n\n"

    client, peer = bench.connected(lambda connection: connection.serve(answer))
    assert client.connected
    assert client.api("status") == "api status"
    assert client.command(Line("noevents")) == "+OK"
    assert client.send("filter delete all") == "+OK"
    client.authenticate()
    client.execute(CHANNEL, ACTION, "playback", "tone_stream://%(100,0,400)")
    assert peer.connections[0].commands == [
        "auth ClueCon",
        "api status",
        "noevents",
        "filter delete all",
        "auth ClueCon",
        f"sendmsg {CHANNEL}\ncall-command: execute\nexecute-app-name: playback\n"
        f"execute-app-arg: tone_stream://%(100,0,400)\nEvent-UUID: {ACTION}",
    ]


def test_the_socket_is_kept_alive_and_sends_at_once(bench: Bench) -> None:
    client, _ = bench.connected(silence)
    assert socket_of(client).getsockopt(plain.IPPROTO_TCP, plain.TCP_NODELAY)
    assert socket_of(client).getsockopt(plain.SOL_SOCKET, plain.SO_KEEPALIVE)


def test_nobody_listens(bench: Bench) -> None:
    peer = bench.peer(silence)
    peer.close()
    client = bench.client(peer.port)
    with pytest.raises(EslConnectionLost, match=r"no event socket at 127\.0\.0\.1"):
        client.connect()
    with pytest.raises(EslConnectionLost):
        client.api("status")
    client.stop()
    assert client.lost.is_set()


def test_a_client_that_never_connected_can_be_stopped_and_sends_nothing(bench: Bench) -> None:
    client = bench.client(1)
    with pytest.raises(EslConnectionLost, match="not connected"):
        client.api("status")
    client.stop()
    with pytest.raises(EslConnectionLost, match="the connection is lost"):
        client.api("status")


def test_a_host_that_is_no_name(bench: Bench) -> None:
    client = EslClient("a" * 300, 8021, "ClueCon", bench.supervisor)
    with pytest.raises(EslConnectionLost, match="no event socket"):
        client.connect()


def test_a_host_that_takes_no_connection_is_given_up_in_time(bench: Bench) -> None:
    full = Peer(silence, bench.supervisor, backlog=0)  # not started: it accepts nobody
    waiting = []
    for _ in range(3):  # fill the queue that nobody accepts from: the kernel then drops what comes
        sock = socket.socket()
        sock.setblocking(False)
        sock.connect_ex(("127.0.0.1", full.port))
        waiting.append(sock)
    client = bench.client(full.port, connect_timeout_s=0.2)
    since = CLOCK.monotonic()
    with pytest.raises(EslConnectionLost, match="timed out"):
        client.connect()
    assert CLOCK.monotonic() - since < 1.0
    for sock in waiting:
        sock.close()
    full.close()


def test_a_timeout_of_the_caller_stays_the_callers(bench: Bench) -> None:
    peer = bench.peer(silence)
    client = bench.client(peer.port, connect_timeout_s=30.0)
    with pytest.raises(gevent.Timeout), gevent.Timeout(0.05):
        client.connect()


def test_a_silent_peer_is_no_event_socket(bench: Bench) -> None:
    peer = bench.peer(silence)
    client = bench.client(peer.port, connect_timeout_s=0.1)
    with pytest.raises(EslConnectionLost, match="sent no greeting"):
        client.connect()
    assert peer.ended.wait(PATIENCE_S), "the client left its socket open"


def test_a_peer_that_never_answers_the_password(bench: Bench) -> None:
    def script(connection: Connection) -> None:
        connection.greet()
        connection.until_closed()

    peer = bench.peer(script)
    client = bench.client(peer.port, connect_timeout_s=0.1)
    with pytest.raises(CommandTimeout, match="auth"):
        client.connect()
    assert peer.ended.wait(PATIENCE_S), "the client left its socket open"
    assert client.lost.is_set()


def test_a_wrong_password(bench: Bench) -> None:
    """The bytes of a real node (fs-traces/wrong_password), which closes the socket right behind them."""
    greeting, *refusal = loader.received("wrong_password")

    def script(connection: Connection) -> None:
        connection.send(greeting)
        connection.command()
        connection.send(b"".join(refusal))

    client = bench.client(bench.peer(script).port)
    with pytest.raises(EslAuthRejected, match=r"password.*event_socket\.conf\.xml") as raised:
        client.connect()
    assert "ClueCon" not in str(raised.value)
    with pytest.raises(EslConnectionLost):
        client.api("status")


def test_a_rude_rejection_names_the_acl(bench: Bench) -> None:
    body = b"Access Denied, go away.\n"

    def script(connection: Connection) -> None:
        connection.send(b"Content-Type: text/rude-rejection\nContent-Length: %d\n\n" % len(body) + body)

    client = bench.client(bench.peer(script).port)
    with pytest.raises(EslAuthRejected, match="ACL"):
        client.connect()


def test_something_else_listens_there(bench: Bench) -> None:
    client = bench.client(bench.peer(lambda c: c.send(b"Content-Length: lots\n\n")).port)
    with pytest.raises(EslProtocolError, match="is no number"):
        client.connect()


def test_stopped_while_the_socket_is_opened(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    peer = bench.peer(silence)
    client = bench.client(peer.port)
    real = socket.create_connection

    def slow(address: tuple[str, int]) -> socket.socket:
        client.stop()
        return real(address)

    monkeypatch.setattr(socket, "create_connection", slow)
    with pytest.raises(EslConnectionLost, match="closed by us"):
        client.connect()
    assert peer.ended.wait(PATIENCE_S), "the client left its socket open"


# --- replies -----------------------------------------------------------------------------------------------------


def test_commands_of_many_callers_meet_their_own_replies(bench: Bench) -> None:
    client, _ = bench.connected(lambda connection: connection.serve(echo))
    asked = [bench.beside(partial(client.api, f"echo {n} " + "x" * (n * 37))) for n in range(100)]
    assert [result(greenlet) for greenlet in asked] == [f"api echo {n} " + "x" * (n * 37) for n in range(100)]


def test_a_late_reply_does_not_go_to_the_next_command(bench: Bench) -> None:
    def script(connection: Connection) -> None:
        first, second = connection.command(), connection.command()
        connection.send(echo(first) + echo(second))
        connection.serve(echo)

    client, _ = bench.connected(script)
    with pytest.raises(CommandTimeout, match=r"api first: no reply within 0\.05 s"):
        client.api("first", timeout_s=0.05)
    assert client.api("second") == "api second"
    assert client.api("third") == "api third"


@pytest.mark.parametrize("first", ["job", "command"])
def test_a_reply_that_never_comes_ends_the_connection(bench: Bench, first: str) -> None:
    """All later replies would meet the wrong commands, and events would go on as if nothing were wrong."""

    def script(connection: Connection) -> None:
        connection.command()
        connection.serve(echo)

    client, _ = bench.connected(script, command_timeout_s=0.1)
    asked = bench.beside(lambda: client.bgapi("originate x", JOB, 30.0) if first == "job" else client.api("first"))
    assert isinstance(result(asked), EslConnectionLost if first == "job" else CommandTimeout)
    assert client.lost.wait(PATIENCE_S)
    assert "a reply is missing" in str(client.lost_because)


def test_a_peer_that_answers_nothing_any_more_is_given_up(bench: Bench) -> None:
    """Whatever events it sends meanwhile."""

    def script(connection: Connection) -> None:
        while True:
            connection.send(event("HEARTBEAT"))
            gevent.sleep(0.01)

    client, _ = bench.connected(script, command_timeout_s=0.1)
    with pytest.raises(CommandTimeout):
        client.api("first")
    assert client.lost.wait(PATIENCE_S)
    assert "answers no commands any more" in str(client.lost_because)
    assert client.events_seen > 5


def test_a_slow_peer_keeps_its_connection(bench: Bench) -> None:
    """Each reply comes after its caller has gone; it is its own all the same, and the word comes in its place."""

    def script(connection: Connection) -> None:
        while True:
            command = connection.command()
            gevent.sleep(0.0 if command.startswith("api echo") else 0.5)
            connection.send(echo(command))

    client, peer = bench.connected(script, command_timeout_s=0.3)
    for number in range(4):
        with pytest.raises(CommandTimeout):
            client.api(f"c{number}")
        eventually(lambda: client._session.pending == 0, "all late replies")
    assert not client.lost.is_set()
    assert any(command.startswith("api echo ") for command in peer.connections[0].commands)


def test_a_peer_that_was_silent_for_a_moment_keeps_its_connection(bench: Bench) -> None:
    """A node that is busy for a moment lets many wait at once; the word is asked for once, and all is well again."""
    patient = Flag()

    def script(connection: Connection) -> None:
        late = [connection.command() for _ in range(6)]
        patient.wait(PATIENCE_S)
        connection.send(b"".join(map(echo, late)))
        connection.serve(echo)

    client, peer = bench.connected(script, command_timeout_s=0.2)
    waiting = [bench.beside(partial(client.api, f"c{number}")) for number in range(5)]
    assert all(isinstance(result(each), CommandTimeout) for each in waiting)
    eventually(lambda: len(peer.connections[0].commands) == 7, "the word")
    patient.set()
    assert client.api("after") == "api after"
    assert [c for c in peer.connections[0].commands if c.startswith("api echo ")] == peer.connections[0].commands[6:7]
    assert not client.lost.is_set()


def test_a_callers_short_patience_says_nothing_of_the_connection(bench: Bench) -> None:
    client, _ = bench.connected(silence)
    for _ in range(3):
        with pytest.raises(CommandTimeout):
            client.api("status", timeout_s=0.01)
    assert not client.lost.is_set()


def test_a_killed_callers_reply_does_not_go_to_the_next_command(bench: Bench) -> None:
    def script(connection: Connection) -> None:
        first, second = connection.command(), connection.command()
        connection.send(echo(first) + echo(second))

    client, peer = bench.connected(script)
    killed = bench.beside(lambda: client.api("first"))
    eventually(lambda: len(peer.connections) == 1 and len(peer.connections[0].commands) == 2, "the first command")
    killed.kill()
    assert client.api("second") == "api second"


def test_a_callers_own_timeout_is_not_taken_for_ours(bench: Bench) -> None:
    client, _ = bench.connected(silence)
    with pytest.raises(gevent.Timeout), gevent.Timeout(0.05):
        client.api("status")
    with pytest.raises(gevent.Timeout), gevent.Timeout(0.05):
        client.bgapi("status", JOB, 30.0)


def test_a_refused_command(bench: Bench) -> None:
    gone = f"-ERR invalid session id [{CHANNEL}]"
    answer = f"Content-Type: command/reply\nReply-Text: {gone}\n\n".encode()
    client, _ = bench.connected(lambda c: c.serve(lambda _: answer))
    with pytest.raises(CommandFailed) as raised:
        client.execute(CHANNEL, ACTION, "park", "")
    assert raised.value.reply == gone


def test_a_command_that_must_not_be_sent_is_not(bench: Bench) -> None:
    client, peer = bench.connected(silence)
    with pytest.raises(CommandError):
        client.api("status\n\napi system id")
    with pytest.raises(CommandError):
        client.bgapi("status", JobUuid("no uuid"), 1.0)
    assert peer.connections[0].commands == ["auth ClueCon"]


# --- a hub that is late ------------------------------------------------------------------------------------------


class Prompt:
    """A peer in a native thread: it answers at once, whatever our hub does, while `gate` is open."""

    def __init__(self) -> None:
        self._listener = monkey.get_original("socket", "socket")(plain.AF_INET, plain.SOCK_STREAM)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(1)
        self._listener.settimeout(PATIENCE_S)
        self.port: int = self._listener.getsockname()[1]
        self.gate = monkey.get_original("threading", "Event")()
        self.gate.set()
        self.before_replies = b""
        self.answered: list[str] = []
        self._pool = ThreadPool(1)
        self._pool.spawn(self._serve)

    def _serve(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except TimeoutError:
            return
        sock.sendall(b"Content-Type: auth/request\n\n")
        buffer = b""
        with contextlib.suppress(OSError):
            while data := sock.recv(65_536):
                buffer += data
                while b"\n\n" in buffer:
                    raw, _, buffer = buffer.partition(b"\n\n")
                    self._answer(sock, raw.decode())
        sock.close()
        self._listener.close()

    def _answer(self, sock: plain.socket, command: str) -> None:
        self.answered.append(command.split("\n")[0])
        if command.startswith("bgapi"):
            sock.sendall(b"Content-Type: command/reply\nReply-Text: +OK\n\n" + job_end(JOB, "+OK done\n"))
        elif command.startswith("api"):
            sock.sendall(self.before_replies + echo(command))
        else:
            sock.sendall(b"Content-Type: command/reply\nReply-Text: +OK\n\n")
        self.gate.wait(PATIENCE_S)

    def join(self) -> None:
        self._pool.join()
        self._pool.kill()


@pytest.fixture
def prompt(bench: Bench) -> Iterator[Prompt]:
    peer = Prompt()
    yield peer
    for client in bench.clients:
        client.stop()
    peer.join()


def block(seconds: float) -> None:
    """Keep the hub from everything, as a long computation in a greenlet does."""
    until = CLOCK.monotonic() + seconds
    while CLOCK.monotonic() < until:
        pass


def block_often(over: Flag, seconds: float) -> None:
    while not over.is_set():
        block(seconds)
        gevent.sleep(0.001)


@pytest.mark.parametrize("events", [0, 400])
def test_replies_that_lie_in_the_socket_while_the_hub_is_late(bench: Bench, prompt: Prompt, events: int) -> None:
    """Whole command timeouts are computed away, again and again, each time the reader lets others have their turn."""
    prompt.before_replies = event("CHANNEL_ANSWER", Unique_ID=new_uuid(), Padding="x" * 3_000) * events
    client = bench.client(prompt.port, command_timeout_s=0.2)
    client.connect()
    over = Flag()
    bench.supervisor.spawn("blocker", block_often, over, 0.3)
    asked = [bench.beside(partial(client.api, f"c{number}")) for number in range(5)]
    job = bench.beside(lambda: client.bgapi("originate x", JOB, 0.25))
    with gevent.Timeout(8 * PATIENCE_S):
        gevent.joinall([*asked, job])
    over.set()
    assert [greenlet.value for greenlet in asked] == [f"api c{number}" for number in range(5)]
    assert job.value == JobResult(True, "done")
    assert not client.lost.is_set()
    assert not any(command.startswith("api echo") for command in prompt.answered), "there was no reason for doubt"


def test_connecting_while_the_hub_is_late(bench: Bench, prompt: Prompt) -> None:
    over = Flag()
    blocker = bench.supervisor.spawn("blocker", block_often, over, 0.2)
    client = bench.client(prompt.port, connect_timeout_s=0.15)
    with gevent.Timeout(4 * PATIENCE_S):
        client.connect()
    over.set()
    blocker.join()
    assert client.connected


def test_a_full_socket_that_was_emptied_while_the_hub_was_late(bench: Bench, prompt: Prompt) -> None:
    """The peer reads again while we compute; the timer of the write fires before we are told that there is room."""
    client = bench.client(prompt.port, command_timeout_s=0.3)
    prompt.gate.clear()
    client.connect()
    socket_of(client).setsockopt(plain.SOL_SOCKET, plain.SO_SNDBUF, 4_096)
    asked = [bench.beside(partial(client.api, "x" * 50_000, 30.0)) for _ in range(200)]
    written = -1
    while written != client._session.pending or not client._write_lock.locked():
        written = client._session.pending
        gevent.sleep(0.05)
    prompt.gate.set()
    block(0.4)
    outcomes = [result(greenlet) for greenlet in asked]
    assert client.lost_because is None
    assert set(outcomes) == {"api " + "x" * 50_000}
    assert not client.lost.is_set()


# --- jobs --------------------------------------------------------------------------------------------------------


def job_end(job: str, body: str) -> bytes:
    return event("BACKGROUND_JOB", body, Job_UUID=job)


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize(
    ("body", "outcome"),
    [(f"+OK {CHANNEL}\n", JobResult(True, CHANNEL)), ("-ERR USER_BUSY\n", JobResult(False, "USER_BUSY"))],
)
def test_a_jobs_result_comes_before_or_after_the_reply(
    bench: Bench, early: bool, body: str, outcome: JobResult
) -> None:
    def script(connection: Connection) -> None:
        assert connection.command() == f"bgapi originate x\nJob-UUID: {JOB}"
        parts = [f"Content-Type: command/reply\nReply-Text: +OK Job-UUID: {JOB}\n\n".encode(), job_end(JOB, body)]
        connection.send(b"".join(reversed(parts) if early else parts))
        connection.until_closed()

    client, _ = bench.connected(script)
    assert client.bgapi("originate x", JOB, 2.0) == outcome


def test_a_refused_job(bench: Bench) -> None:
    client, _ = bench.connected(lambda c: c.serve(lambda _: b"Content-Type: command/reply\nReply-Text: -ERR no\n\n"))
    with pytest.raises(CommandFailed, match="bgapi originate: -ERR no"):
        client.bgapi("originate x", JOB, 2.0)


def test_a_job_without_a_result_is_given_up_and_its_late_result_harms_nothing(bench: Bench) -> None:
    def script(connection: Connection) -> None:
        connection.command()
        connection.reply("+OK")
        connection.command()
        connection.send(job_end(JOB, "+OK late\n") + echo("now"))
        connection.until_closed()

    client, _ = bench.connected(script)
    with pytest.raises(CommandTimeout, match=r"bgapi originate: no result within 0\.05 s"):
        client.bgapi("originate x", JOB, 0.05)
    assert client.api("status") == "now"


# --- a connection that ends --------------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", [0, 1, 20, 40, 60])
def test_a_peer_that_drops_after_some_bytes_fails_everything_at_once(bench: Bench, cut: int) -> None:
    def script(connection: Connection) -> None:
        for _ in range(3):
            connection.command()
        connection.send(printed("x" * 100)[:cut])

    client, _ = bench.connected(script, command_timeout_s=30.0)
    asked = [
        bench.beside(lambda: client.api("one")),
        bench.beside(lambda: client.command(Api("two"))),
        bench.beside(lambda: client.bgapi("three", JOB, 30.0)),
    ]
    for greenlet in asked:
        assert isinstance(result(greenlet), EslConnectionLost)
    assert client.lost.wait(PATIENCE_S)
    assert not client.connected
    with pytest.raises(EslConnectionLost):
        client.api("four")


def test_a_job_that_was_running_fails_at_once_when_the_node_is_killed(bench: Bench) -> None:
    def script(connection: Connection) -> None:
        connection.command()
        connection.reply("+OK")

    client, _ = bench.connected(script)
    assert isinstance(result(bench.beside(lambda: client.bgapi("originate x", JOB, 30.0))), EslConnectionLost)


@pytest.mark.parametrize("length", ["-1", "many", "99999999999", "1000"])
def test_a_wrong_content_length_ends_the_connection_not_the_hub(bench: Bench, length: str) -> None:
    def script(connection: Connection) -> None:
        connection.command()
        connection.send(f"Content-Type: api/response\nContent-Length: {length}\n\nbody".encode())

    client, _ = bench.connected(script, command_timeout_s=30.0)
    assert isinstance(result(bench.beside(lambda: client.api("status"))), EslConnectionLost)
    assert client.lost.is_set()


def test_what_came_before_the_end_is_handed_on(bench: Bench) -> None:
    """The last events of a call, with the node's end right behind them, must reach the call."""

    def script(connection: Connection) -> None:
        connection.send(event("CHANNEL_ANSWER") + event("CHANNEL_HANGUP_COMPLETE") + b"Content-Length: ?\n\n")

    client, _ = bench.connected(script)
    assert client.lost.wait(PATIENCE_S)
    assert [e.name for e in bench.events] == ["CHANNEL_ANSWER", "CHANNEL_HANGUP_COMPLETE"]
    assert isinstance(client.lost_because, EslProtocolError)


def test_a_disconnect_notice_and_its_end(bench: Bench) -> None:
    client, _ = bench.connected(lambda c: c.send(loader.received("answered_gateway")[-1]))
    assert client.lost.wait(PATIENCE_S)
    assert "closed the connection" in str(client.lost_because)


def test_stop_says_goodbye_and_fails_what_is_pending(bench: Bench) -> None:
    client, peer = bench.connected(lambda c: c.serve(lambda _: None))
    pending = bench.beside(lambda: client.api("status", 30.0))
    eventually(lambda: len(peer.connections[0].commands) == 2, "the command")
    client.stop()  # nothing is answered any more: the goodbye has a short deadline of its own
    assert peer.connections[0].commands[-1] == "exit"
    assert isinstance(result(pending), EslConnectionLost)
    assert peer.ended.wait(PATIENCE_S)


def test_a_dead_reader_leaves_nobody_waiting(bench: Bench) -> None:
    client, _ = bench.connected(silence, command_timeout_s=30.0)
    outcomes: list[EslError] = []

    def ask() -> None:
        try:
            client.api("status")
        except EslError as error:
            outcomes.append(error)

    other = Supervisor()
    other.spawn("asks", ask)
    eventually(lambda: client._session.pending == 1, "the command")
    bench.supervisor.stop()  # the reader's owner goes; whoever waits belongs to another
    eventually(lambda: outcomes, "the waiting command's failure")
    assert isinstance(outcomes[0], EslConnectionLost)
    other.stop()


def test_a_peer_that_does_not_read_is_given_up(bench: Bench) -> None:
    over = Flag()
    client, _ = bench.connected(lambda _: _keep_open(over), command_timeout_s=0.2)
    socket_of(client).setsockopt(plain.SOL_SOCKET, plain.SO_SNDBUF, 4_096)
    asked = [bench.beside(lambda: client.api("x" * 50_000, 30.0)) for _ in range(200)]
    outcomes = [result(greenlet) for greenlet in asked]
    over.set()
    assert all(isinstance(outcome, EslConnectionLost) for outcome in outcomes)
    assert "takes no more bytes" in str(client.lost_because)


def test_a_command_cut_off_while_it_is_written_ends_the_connection(bench: Bench) -> None:
    """Half a command in the stream would be glued to the next one."""
    over = Flag()
    client, _ = bench.connected(lambda _: _keep_open(over), command_timeout_s=30.0)
    socket_of(client).setsockopt(plain.SOL_SOCKET, plain.SO_SNDBUF, 4_096)
    writers = [bench.beside(lambda: client.api("x" * 50_000)) for _ in range(200)]
    eventually(client._write_lock.locked, "a blocked write")
    gevent.idle()
    gevent.killall(writers)
    over.set()
    assert client.lost.is_set()
    assert "interrupted" in str(client.lost_because)


# --- events ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [1, 7, 4_096])
def test_a_recorded_conversation_in_pieces(bench: Bench, step: int) -> None:
    recorded = [raw for raw in loader.received("filters") if b"text/event" in raw[:60]]
    client, _ = bench.connected(lambda c: c.send(b"".join(recorded), step if step > 1 else 3))
    assert client.lost.wait(PATIENCE_S)
    assert len(bench.events) == len(recorded)
    assert [e.headers["Event-Sequence"] for e in bench.events] == [
        raw.split(b"Event-Sequence: ")[1].split(b"\n")[0].decode() for raw in recorded
    ]
    assert client.events_seen == len(recorded)


def test_a_handler_that_fails_stops_nothing(bench: Bench) -> None:
    seen: list[str] = []

    def handler(found: Event) -> None:
        seen.append(found.name)
        raise RuntimeError("a fault of ours")

    client, _ = bench.connected(lambda c: c.send(event("ONE") + event("TWO")), on_event=handler)
    assert client.lost.wait(PATIENCE_S)
    assert seen == ["ONE", "TWO"]


def test_without_a_handler_events_are_only_counted(bench: Bench) -> None:
    client, _ = bench.connected(lambda c: c.send(event("ONE")), on_event=None)
    assert client.lost.wait(PATIENCE_S)
    assert client.events_seen == 1


class Flood:
    """A peer in a native thread: unlike a greenlet it goes on writing while the reader has the hub."""

    SECONDS = 1.5

    def __init__(self, frame: bytes) -> None:
        original = monkey.get_original("socket", "socket")
        self._listener = original(plain.AF_INET, plain.SOCK_STREAM)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(1)
        self.port: int = self._listener.getsockname()[1]
        self._frame = frame
        self._pool = ThreadPool(1)
        self._pool.spawn(self._serve)

    def _serve(self) -> None:
        sock, _ = self._listener.accept()
        sock.sendall(b"Content-Type: auth/request\n\n")
        sock.recv(1_000)
        sock.sendall(b"Content-Type: command/reply\nReply-Text: +OK accepted\n\n")
        until = (
            CLOCK.monotonic() + self.SECONDS
        )  # so that a reader that never yields fails its test and does not hang it
        with contextlib.suppress(OSError):
            while CLOCK.monotonic() < until:
                sock.sendall(self._frame)
        sock.close()
        self._listener.close()

    def join(self) -> None:
        self._pool.join()
        self._pool.kill()


def test_a_flood_of_events_starves_nobody(bench: Bench) -> None:
    """A `recv` that always finds bytes never yields by itself; the hub's other greenlets must run all the same."""
    flood = Flood(event("CHANNEL_ANSWER", Unique_ID=new_uuid(), Padding="x" * 3_000) * 40)
    client = bench.client(flood.port)
    until = CLOCK.monotonic() + Flood.SECONDS / 2
    client.connect()  # the flood begins right behind the log-in: a starved caller would not even come back from here
    turns = 0
    while CLOCK.monotonic() < until:
        gevent.sleep(0.001)
        turns += 1
    assert not client.lost.is_set(), "the flood was over before it was measured"
    client.stop()
    flood.join()
    assert client.events_seen > 1_000
    assert turns > 10
