"""What can be made to go wrong in a simulated node, fault by fault, and how it goes down and comes back."""

from __future__ import annotations

import json

import gevent
import gevent.socket
import pytest

from fsbridge.simulator import FarEndBook, parse_script
from fsbridge.simulator.faults import CONTROL, NOT_UTF8
from fsbridge.simulator.time.spread import Spread
from tests.sim.simulator_helpers import AudioServer, Bench, Client, bench, wait_until

pytestmark = pytest.mark.sim

A = "aaaaaaaa-0000-4000-8000-000000000001"
B = "bbbbbbbb-0000-4000-8000-000000000002"
RINGS = FarEndBook((parse_script("one", "*", [{"ring": 0.5}, "never_answer"]),))


def let_pass(b: Bench, seconds: float) -> None:
    """Like `advance`, but without a word to the node, which may be silent or gone."""
    end = b.clock.monotonic() + seconds
    while b.clock.monotonic() < end - 1e-9:
        b.clock.advance_to(min(b.clock.monotonic() + 0.1, end))
        b.simulator.node.scheduler.perform(lambda: None)
        gevent.sleep(0.001)


def told(b: Bench, uuid: str = A) -> list[str]:
    return [name for name in b.client.names(uuid) if name != "CHANNEL_STATE"]


# The connection


def test_connections_can_be_dropped_now_or_after_an_event() -> None:
    with bench() as b:
        b.simulator.faults.drop_after("CHANNEL_ANSWER")
        b.originate("1555", A)
        b.advance(2.5)
        wait_until(lambda: b.client.ended)
        assert b.client.events[-1].name == "CHANNEL_ANSWER"
        assert A in b.simulator.node.channels
        other = Client(b.simulator.port, b.supervisor).login()
        b.simulator.faults.drop_connection()
        wait_until(lambda: other.ended)


def test_events_can_be_lost_delayed_and_commands_left_unanswered() -> None:
    with bench() as b:
        faults = b.simulator.faults
        faults.lose_event("BACKGROUND_JOB", 2)
        faults.lose_event("mod_audio_fork::connect_failed")
        faults.delay_event("CHANNEL_ANSWER", 5.0)
        b.originate("1555", A)
        b.advance(2.5)
        b.client.wait_event("CHANNEL_PARK")
        assert "CHANNEL_ANSWER" not in b.client.names(A)
        b.client.api(f"uuid_audio_fork {A} start ws://127.0.0.1:1/x mono 8k")
        b.advance(5)
        b.client.wait_event("CHANNEL_ANSWER")
        names = [frame.name for frame in b.client.events]
        assert "BACKGROUND_JOB" not in names
        assert "mod_audio_fork::connect_failed" not in names
        faults.never_reply("api status")
        b.client.send("api status\n\n")
        assert b.client.api("hostname") == "fs-sim-1"
        assert b.client.api("status").startswith("UP")
        faults.lose_event("HEARTBEAT")
        faults.clear()
        faults.pause_heartbeat()
        b.advance(21, step=1.0)
        assert "HEARTBEAT" not in [frame.name for frame in b.client.events]


def test_another_uuid_and_bytes_in_pieces() -> None:
    with bench() as b:
        b.simulator.faults.split_bytes = 7
        b.simulator.faults.duplicate_uuid()
        b.originate("1555", A)
        b.advance(2.5)
        result = b.result(A)
        assert result.startswith("+OK ")
        assert A not in result


def test_while_the_sockets_are_cut_calls_go_on_and_nobody_gets_in() -> None:
    with bench() as b:
        b.answered("1555", A)
        b.simulator.faults.cut(30)
        wait_until(lambda: b.client.ended)
        with pytest.raises(OSError, match="refused"):
            Client(b.simulator.port, b.supervisor)
        b.advance(29, step=1.0)
        with pytest.raises(OSError, match="refused"):
            Client(b.simulator.port, b.supervisor)
        b.advance(2, step=1.0)
        again = Client(b.simulator.port, b.supervisor).login()
        assert again.api(f"uuid_exists {A}") == "true"


def test_a_late_reply_holds_back_everything_behind_it() -> None:
    with bench() as b:
        b.simulator.faults.late_reply("api status", 3.0)
        other = Client(b.simulator.port, b.supervisor).login("plain ALL")
        before = len(b.client.frames)
        b.client.send("api status\n\napi hostname\n\n")
        other.wait_event("API", API_Command="status")
        # Another connection hears what this one will hear later.
        other.command(
            f"bgapi originate {{origination_uuid={A},originate_timeout=30}}sofia/gateway/carrier/1555 &park()"
        )
        let_pass(b, 2.8)
        other.wait_event("CHANNEL_CREATE")
        assert len(b.client.frames) == before
        let_pass(b, 0.5)
        wait_until(lambda: b.client.replies[-1].body == "fs-sim-1")
        assert b.client.replies[-2].body.startswith("UP")
        b.client.wait_event("CHANNEL_CREATE")


# Events


def test_an_event_comes_twice() -> None:
    with bench() as b:
        b.simulator.faults.double_event("CHANNEL_ANSWER")
        b.answered("1555", A)
        first, second = (f for f in b.client.events if f.name == "CHANNEL_ANSWER")
        assert first.raw == second.raw
        b.answered("1555", B)
        assert told(b, B).count("CHANNEL_ANSWER") == 1


def test_an_event_is_late_as_often_as_armed() -> None:
    with bench(far_ends=RINGS) as b:
        b.simulator.faults.delay_event("CHANNEL_PROGRESS", 5.0, times=1)
        b.originate("1", A)
        b.originate("1", B)
        b.advance(1)
        assert ("CHANNEL_PROGRESS" in told(b, A), "CHANNEL_PROGRESS" in told(b, B)) == (False, True)
        b.advance(5)
        assert "CHANNEL_PROGRESS" in told(b, A)


def test_the_hang_up_comes_after_its_completion_as_on_a_real_node() -> None:
    with bench() as b:
        b.answered("1555", A)
        b.simulator.faults.put_after("CHANNEL_HANGUP", "CHANNEL_HANGUP_COMPLETE")
        b.client.api(f"uuid_kill {A}")
        b.advance(1)
        ends = [name for name in told(b) if name.startswith("CHANNEL_HANGUP")]
        assert ends == ["CHANNEL_HANGUP_COMPLETE", "CHANNEL_HANGUP"]
        late = b.client.wait_event("CHANNEL_HANGUP").event
        assert late["Channel-State"] == "CS_EXECUTE"


def test_what_an_event_waits_for_may_never_come() -> None:
    with bench() as b:
        b.simulator.faults.put_after("CHANNEL_PROGRESS", "CHANNEL_HANGUP_COMPLETE")
        b.answered("1555", A)
        assert "CHANNEL_PROGRESS" not in told(b)
        b.advance(31, step=1.0)
        assert told(b)[-1] == "CHANNEL_PROGRESS"


def test_a_hang_up_without_its_completion() -> None:
    with bench() as b:
        b.answered("1555", A)
        b.simulator.faults.lose_event("CHANNEL_HANGUP_COMPLETE")
        b.client.api(f"uuid_kill {A}")
        b.advance(1)
        assert "CHANNEL_HANGUP" in told(b)
        assert "CHANNEL_HANGUP_COMPLETE" not in told(b)
        assert b.simulator.node.channels == {}


def test_the_tap_connects_before_the_answer_is_told() -> None:
    with bench() as b:
        audio = AudioServer(b.supervisor)
        b.simulator.faults.put_after("CHANNEL_ANSWER", "mod_audio_fork::connect")
        b.originate("1555", A, f"api_on_answer='uuid_audio_fork {A} start {audio.url} mono 8k'")
        b.advance(2.5)
        b.client.wait_event("CHANNEL_ANSWER")
        names = told(b)
        assert names.index("mod_audio_fork::connect") < names.index("CHANNEL_ANSWER")
        audio.close()


@pytest.mark.parametrize("noise", [CONTROL, NOT_UTF8])
def test_raw_bytes_in_json_that_no_strict_reader_takes(noise: bytes) -> None:
    with bench() as b:
        b.simulator.faults.spoil_event("CHANNEL_CREATE", noise)
        sock = gevent.socket.create_connection(("127.0.0.1", b.simulator.port), timeout=5)
        sock.sendall(b"auth ClueCon\n\nevent json CHANNEL_CREATE\n\n")
        heard = b""
        while b"enabled json" not in heard:
            heard += sock.recv(65_536)
        b.originate("1555", A)
        b.advance(0.1)
        while b"variable_noise" not in heard or not heard.endswith(b"}"):
            heard += sock.recv(65_536)
        sock.close()
        body = heard[heard.index(b"{") :]
        assert noise in body
        with pytest.raises(ValueError, match=r"control|decode"):
            json.loads(body)
        # In the plain format nothing can be raw.
        assert noise not in b.client.wait_event("CHANNEL_CREATE").raw


def test_a_job_that_says_nothing() -> None:
    with bench() as b:
        b.simulator.faults.empty_body()
        b.answered("1555", A)
        assert b.result(A) == ""
        assert A in b.simulator.node.channels


# Taps


def test_a_tap_that_never_connects_and_says_nothing() -> None:
    with bench() as b:
        audio = AudioServer(b.supervisor)
        b.simulator.faults.silent_taps(1)
        b.answered("1555", A)
        assert b.client.api(f"uuid_audio_fork {A} start {audio.url} mono 8k first") == "+OK Success\n"
        b.advance(30, step=1.0)
        assert not [name for name in told(b) if "mod_audio_fork" in name]
        assert audio.heard == []
        # The next one does.
        assert b.client.api(f"uuid_audio_fork {A} start {audio.url} mono 8k second") == "+OK Success\n"
        b.client.wait_event("mod_audio_fork::connect", Unique_ID=A)
        assert b.client.api(f"uuid_audio_fork {A} stop first") == "+OK Success\n"
        b.client.api(f"uuid_kill {A}")
        b.advance(1)
        assert "CHANNEL_HANGUP_COMPLETE" in told(b)
        audio.close()


# The node


def test_a_node_that_was_killed_comes_back_as_another_that_knows_nothing() -> None:
    with bench() as b:
        b.answered("1555", A)
        b.client.api("hash insert/realm/key/value")
        core = b.client.api("global_getvar core_uuid")
        port = b.simulator.port
        events = len(b.client.events)
        b.simulator.stop()
        wait_until(lambda: b.client.ended)
        assert len(b.client.events) == events
        b.simulator.start()
        assert b.simulator.port == port
        again = Client(port, b.supervisor).login("plain ALL")
        assert again.api("global_getvar core_uuid") != core
        assert again.api(f"uuid_exists {A}") == "false"
        assert again.api("hash select/realm/key") == "-ERR no reply\n"
        assert again.api("show channels as json") == '{"row_count": 0}\n'
        b.client = again
        b.answered("1555", B)


def test_a_paused_node_says_system_ready_all_the_same() -> None:
    with bench() as b:
        assert b.client.api("fsctl pause_check") == "false"
        assert b.client.api("fsctl pause") == "+OK\n"
        assert b.client.api("fsctl pause_check") == "true"
        assert b.client.api("fsctl ready_check") == "false"
        assert "is not ready\n" in b.client.api("status")
        b.advance(21, step=1.0)
        assert b.client.wait_event("HEARTBEAT").event["Event-Info"] == "System Ready"
        b.originate("1555", A)
        b.advance(0.1)
        assert b.result(A) == "-ERR DESTINATION_OUT_OF_ORDER\n"
        assert b.client.api("fsctl resume inbound") == "+OK\n"
        assert b.client.api("fsctl pause_check") == "false"
        assert b.client.api("fsctl pause_check outbound") == "true"
        assert "is ready\n" in b.client.api("status")
        b.originate("1555", B)
        b.advance(0.1)
        assert b.result(B) == "-ERR DESTINATION_OUT_OF_ORDER\n"


def test_a_node_shut_down_ends_its_calls_and_keeps_its_socket_as_measured() -> None:
    with bench(seed=3) as b:
        uuids = [f"aaaaaaaa-0000-4000-8000-{number:012}" for number in range(20)]
        for uuid in uuids:
            b.originate("1555", uuid)
        b.advance(2.5)
        assert b.client.api("fsctl shutdown") == "+OK\n"
        # It goes on for up to a second as if nothing had been said.
        assert "is ready\n" in b.client.api("status")
        b.advance(1.1)
        assert b.client.wait_event("SHUTDOWN").event["Event-Info"] == "System Shutting Down"
        for uuid in uuids:
            hangup = b.client.wait_event("CHANNEL_HANGUP", Unique_ID=uuid).event
            assert hangup["Hangup-Cause"] == "SYSTEM_SHUTDOWN"
        assert "is not ready\n" in b.client.api("status")
        assert b.client.api("sofia status") == "-ERR sofia Command not found!\n"
        b.originate("1555", B)
        b.advance(0.1)
        assert b.result(B) == "-ERR CHAN_NOT_IMPLEMENTED\n"
        soon = sum("CHANNEL_HANGUP_COMPLETE" in told(b, uuid) for uuid in uuids)
        b.advance(12, step=0.5)
        at_last = sum("CHANNEL_HANGUP_COMPLETE" in told(b, uuid) for uuid in uuids)
        # Most at once, some after seconds, some never.
        assert 10 < soon < at_last < 20
        complete = b.client.wait_event("CHANNEL_HANGUP_COMPLETE").event
        assert complete["variable_hangup_cause_q850"] == "16"
        assert not b.client.ended
        while not b.client.ended and b.clock.monotonic() < 60:
            let_pass(b, 0.5)
        assert 15 < b.clock.monotonic() < 2.5 + 1 + 40 + 1


def test_a_node_shut_down_at_once_says_nothing() -> None:
    with bench() as b:
        b.answered("1555", A)
        events = len(b.client.events)
        b.client.send("api fsctl shutdown now\n\n")
        wait_until(lambda: b.client.ended)
        assert [f.name for f in b.client.events[events:] if f.name != "API"] == []


def test_shutdown_takes_as_long_as_the_settings_say() -> None:
    with bench(shutdown_seconds=Spread.between(3, 3)) as b:
        b.client.api("fsctl shutdown")
        b.advance(1, step=0.1)
        b.client.wait_event("SHUTDOWN")
        assert not b.client.ended
        let_pass(b, 3.1)
        wait_until(lambda: b.client.ended)
