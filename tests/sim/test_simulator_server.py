"""The simulated node's event socket and API commands, over TCP."""

from __future__ import annotations

import json
import re

import pytest

from fsbridge.simulator import FarEndBook, Simulator, SimulatorSettings, parse_script
from fsbridge.simulator.legs import dialstring
from fsbridge.simulator.socket.api import FSCTL_SYNTAX
from fsbridge.simulator.socket.api_channel import FORK_USAGE
from fsbridge.simulator.socket.connection import MAX_BACKLOG
from tests.sim.simulator_helpers import Client, Frame, ManualClock, bench, simulated, wait_until
from tests.traces import loader

pytestmark = pytest.mark.sim

A, B = "aaaaaaaa-0000-4000-8000-000000000001", "bbbbbbbb-0000-4000-8000-000000000002"


def recorded_reply(name: str, command: str) -> str:
    """The recorded body of the first reply to this API command."""
    sent = [raw.decode().strip() for raw in loader.sent(name)]
    replies = [Frame(raw) for raw in loader.received(name)]
    replies = [frame for frame in replies if not frame.event]
    # The first frame of a conversation is the greeting, which no command asked for.
    return replies[sent.index(f"api {command}") + 1].body


def shape(text: str) -> str:
    """A reply with its figures, names and times taken out."""
    text = re.sub(r"carrier2|carrier|loop|dead|external|internal|fs-node-1|fs-sim-1", "NAME", text)
    return re.sub(r"[ \t]*\d+(\.\d+)?[ \t]*", "N", text)


@pytest.mark.parametrize("command", ["sofia status gateway carrier", "sofia xmlstatus gateway loop", "version"])
def test_node_queries_have_the_recorded_shape(command: str) -> None:
    with bench() as b:
        assert shape(b.client.api(command)) == shape(recorded_reply("node_queries", command))


def test_status_has_the_recorded_lines() -> None:
    with bench() as b:
        b.advance(2)
        got, recorded = b.client.api("status"), recorded_reply("node_queries", "status")
        plain = re.compile(r"\d+|s\b")
        assert [plain.sub("", line) for line in got.split("\n")] == [
            plain.sub("", line) for line in recorded.split("\n")
        ]
        assert "0 session(s) - peak 0" in got


def test_sofia_status_lists_every_gateway_in_the_recorded_columns() -> None:
    with bench() as b:
        got = b.client.api("sofia status").split("\n")
        recorded = recorded_reply("node_queries", "sofia status").split("\n")
        assert got[0] == recorded[0]
        assert got[1] == recorded[1]
        row = next(line for line in got if "external::loop" in line)
        assert row == next(line for line in recorded if "external::loop" in line)
        assert got[-2] == "2 profiles 0 aliases"


def test_a_channel_shows_as_a_row_of_the_recorded_columns_and_as_a_dump() -> None:
    with bench() as b:
        b.answered("1555", A, "fsb_session=abc")
        rows = json.loads(b.client.api("show channels as json"))
        recorded = json.loads(recorded_reply("flow_digits", "show channels as json"))
        assert rows["row_count"] == 1
        assert list(rows["rows"][0]) == list(recorded["rows"][0])
        assert rows["rows"][0] | {"uuid": A, "dest": "1555", "callstate": "ACTIVE"} == rows["rows"][0]
        dump = json.loads(b.client.api(f"uuid_dump {A} json"))
        assert dump["Event-Name"] == "CHANNEL_DATA"
        assert dump["variable_fsb_session"] == "abc"
        assert dump["Answer-State"] == "answered"
        plain = b.client.api(f"uuid_dump {A}")
        assert "variable_fsb_session: abc\n" in plain
        assert json.loads(b.client.api("show channels count as json"))["row_count"] == 1
        assert b.client.api("show calls as json") == '{"row_count": 0}\n'


@pytest.mark.parametrize(
    ("command", "reply"),
    [
        (f"uuid_exists {A}", "false"),
        (f"uuid_dump {A} json", "-ERR No such channel!\n"),
        (f"uuid_getvar {A} x", "-ERR No such channel!\n"),
        (f"uuid_kill {A}", "-ERR No such channel!\n"),
        ("uuid_kill", "-USAGE: <uuid> [cause]\n"),
        (f"sched_hangup +2 {A}", "-ERR No such channel!\n"),
        ("sched_hangup", "-USAGE: [+]<time> <uuid>[ <cause>]\n"),
        ("show registrations", "-USAGE: show channels|calls [count] as json\n"),
        ("global_getvar switchname", "fs-sim-1"),
        ("global_getvar nothing", "-ERR no reply\n"),
        ("echo one two", "one two"),
        ("hash select/r/k", "-ERR no reply\n"),
        ("hash insert/r/k/a/b", "+OK\n"),
        ("hash delete/r/k", "-ERR Not found\n"),
        ("hash nonsense", "-USAGE: [insert|insert_ifempty|delete|delete_ifmatch|select]/realm/key/value\n"),
        ("hash move/r/k", "-USAGE: [insert|insert_ifempty|delete|delete_ifmatch|select]/realm/key/value\n"),
        ("fsctl sps", "+OK sessions per second: 200\n"),
        ("fsctl nonsense", f"-ERR Invalid command\nUSAGE: {FSCTL_SYNTAX}\n"),
        ("sofia nonsense", "-USAGE: sofia status|xmlstatus [gateway <name>]\n"),
        ("sofia xmlstatus gateway nosuch", "Invalid Gateway!\n"),
        ("originate", dialstring.USAGE),
        ("originate sofia/gateway/carrier/1 park", "-ERR NO_ROUTE_DESTINATION\n"),
        ("originate {a=b&park() &park()", "-ERR DESTINATION_OUT_OF_ORDER\n"),
        ("originate sofia/gateway/carrier/1,sofia/gateway/carrier/2 &park()", "-ERR CHAN_NOT_IMPLEMENTED\n"),
        ("originate sofia/gateway/carrier/ &park()", "-ERR INVALID_NUMBER_FORMAT\n"),
        ("originate sofia/external/ &park()", "-ERR INVALID_URL\n"),
        ("originate sofia/nowhere/1@h &park()", "-ERR INVALID_PROFILE\n"),
        ("uuid_audio_fork", FORK_USAGE),
    ],
)
def test_replies_to_commands_that_ask_for_little(command: str, reply: str) -> None:
    with bench() as b:
        assert b.client.api(command) == reply


def test_hash_keeps_values_until_deleted() -> None:
    with bench() as b:
        assert b.client.api("hash insert/r/k/a/b") == "+OK\n"
        assert b.client.api("hash select/r/k") == "a/b"
        assert b.client.api("hash delete/r/k") == "+OK\n"
        assert b.client.api("hash select/r/k") == "-ERR no reply\n"


def test_variables_are_set_read_and_removed() -> None:
    with bench() as b:
        b.answered("1555", A)
        assert b.client.api(f"uuid_setvar_multi {A} a=1;b=2") == "+OK\n"
        assert b.client.api(f"uuid_getvar {A} b") == "2"
        assert b.client.api(f"uuid_setvar {A} b") == "+OK\n"
        assert b.client.api(f"uuid_getvar {A} b") == "_undef_"


def test_every_controller_hears_what_it_asked_for_in_its_own_form() -> None:
    with bench() as b:
        other = Client(b.simulator.port, b.supervisor).login("json CHANNEL_ANSWER CUSTOM some::thing")
        b.answered("1555", A)
        other.wait_event("CHANNEL_ANSWER", Unique_ID=A)
        assert {frame.name for frame in other.events} == {"CHANNEL_ANSWER"}
        assert other.events[0].outer["Content-Type"] == "text/event-json"
        assert other.command("nixevent CHANNEL_ANSWER").outer["Reply-Text"] == "+OK events nixed"
        assert other.command("event plain").outer["Reply-Text"] == "-ERR no keywords supplied"
        assert other.command("event xml ALL").outer["Reply-Text"] == "-ERR no keywords supplied"
        assert other.command("linger").outer["Reply-Text"] == "+OK"
        assert other.command("filter Event-Name").outer["Reply-Text"] == "-ERR invalid syntax"
        other.command("filter Event-Name DTMF")
        assert other.command("filter delete Event-Name DTMF").outer["Reply-Text"] == (
            "+OK filter deleted. [Event-Name][DTMF]"
        )


def test_a_reply_comes_before_the_events_that_the_command_causes() -> None:
    with bench() as b:
        b.answered("1555", A)
        b.client.command(f"api uuid_kill {A}")
        b.client.wait_event("CHANNEL_HANGUP")
        names = [frame.name or "reply" for frame in b.client.frames]
        assert names.index("CHANNEL_HANGUP") > len(names) - 1 - names[::-1].index("reply")


def test_api_originate_blocks_its_connection_until_the_call_is_answered() -> None:
    with bench() as b:
        other = Client(b.simulator.port, b.supervisor).login()
        count = len(other.replies)
        other.send(f"api originate {{origination_uuid={A}}}sofia/gateway/carrier/1555 &park()\n\napi hostname\n\n")
        wait_until(lambda: A in b.simulator.node.channels)
        b.advance(0.5)
        assert len(other.replies) == count
        b.advance(2)
        wait_until(lambda: len(other.replies) == count + 2)
        assert [frame.body for frame in other.replies[count:]] == [f"+OK {A}\n", "fs-sim-1"]


def test_heartbeat_carries_the_nodes_figures() -> None:
    with bench(heartbeat_seconds=5.0, max_sessions=7) as b:
        b.advance(5.1, step=1.0)
        beat = b.client.wait_event("HEARTBEAT").event
        assert beat["Max-Sessions"] == "7"
        assert beat["Session-Count"] == "0"
        assert beat["Event-Info"] == "System Ready"
        b.advance(5.0, step=1.0)
        b.client.wait_event("HEARTBEAT", 2)


@pytest.mark.parametrize(
    ("settings", "before"), [({"max_sessions": 1}, ""), ({"sessions_per_second": 2}, ""), ({}, "fsctl pause")]
)
def test_a_node_at_a_limit_or_paused_refuses_calls(settings: dict[str, int], before: str) -> None:
    with bench(**settings) as b:
        if before:
            assert b.client.api(before) == "+OK\n"
        else:
            b.originate("1555", A)
            b.advance(0.01)
        b.originate("1555", B)
        b.advance(0.1)
        assert b.result(B) == "-ERR DESTINATION_OUT_OF_ORDER\n"
        assert b.client.names(B) == []
        b.client.api("fsctl resume")
        b.client.api("fsctl max_sessions 10")
        b.advance(1.1)
        b.originate("1555", B)
        b.advance(3)
        assert b.client.wait_event("BACKGROUND_JOB", 2, Job_UUID=f"job-of-{B}").body == f"+OK {B}\n"


def test_a_uuid_in_use_is_silently_replaced() -> None:
    with bench() as b:
        b.answered("1555", A)
        b.client.command(
            f"bgapi originate {{origination_uuid={A}}}sofia/gateway/carrier/1555 &park()\nJob-UUID: second"
        )
        b.advance(2.5)
        body = b.client.wait_event("BACKGROUND_JOB", Job_UUID="second").body
        assert body.startswith("+OK ")
        assert A not in body
        assert len(b.simulator.node.channels) == 2


def test_a_number_nobody_answers_to_is_not_found() -> None:
    with bench(far_ends=FarEndBook((parse_script("one", "1", ["answer"]),))) as b:
        b.originate("2", A)
        b.advance(0.2)
        assert b.result(A) == "-ERR UNALLOCATED_NUMBER\n"


def test_sip_uris_are_dialled_by_their_user() -> None:
    with bench() as b:
        b.client.command(
            f"bgapi originate {{origination_uuid={A}}}sofia/external/sip:busy@pbx.example &park()\nJob-UUID: job-of-{A}"
        )
        b.advance(0.2)
        assert b.result(A) == "-ERR USER_BUSY\n"
        assert b.client.wait_event("CHANNEL_OUTGOING").event["Channel-Name"] == "sofia/external/busy@pbx.example"


def test_commands_before_authentication_are_not_obeyed() -> None:
    with bench() as b:
        client = Client(b.simulator.port, b.supervisor)
        wait_until(lambda: client.replies)
        assert client.command("api status").outer["Reply-Text"] == "-ERR command not found"
        assert not client.ended


def test_a_command_without_end_closes_the_connection() -> None:
    with bench() as b:
        client = Client(b.simulator.port, b.supervisor).login()
        client.send("api " + "x" * 70_000)
        wait_until(lambda: client.ended)


def test_a_flood_of_commands_behind_a_blocked_one_closes_the_connection() -> None:
    with bench() as b:
        client = Client(b.simulator.port, b.supervisor).login()
        client.send("api originate sofia/gateway/carrier/15550100005 &park()\n\n")
        client.send("api status\n\n" * (MAX_BACKLOG + 1))
        wait_until(lambda: client.ended)


def test_a_listener_that_does_not_read_loses_events_and_is_cut_off() -> None:
    with bench(listener_queue=3) as b:
        deaf = Client(b.simulator.port, b.supervisor).login("plain HEARTBEAT")

        def flood() -> None:
            for _ in range(600):
                b.simulator.node.heartbeat()

        b.simulator.node.scheduler.perform(flood)
        wait_until(lambda: deaf.ended)


def test_connections_beyond_the_limit_are_closed() -> None:
    with bench(max_listeners=1) as b:
        extra = Client(b.simulator.port, b.supervisor)
        wait_until(lambda: extra.ended)
        assert extra.replies == []
        assert b.client.api("hostname") == "fs-sim-1"


def test_hangup_and_nonsense_by_sendmsg() -> None:
    with bench() as b:
        b.answered("1555", A)
        nonsense = b.client.command(f"sendmsg {A}\ncall-command: dance")
        assert nonsense.outer["Reply-Text"] == "-ERR invalid command"
        reply = b.client.command(f"sendmsg {A}\ncall-command: hangup\nhangup-cause: USER_BUSY")
        assert reply.outer["Reply-Text"] == "+OK"
        b.advance(0.1)
        assert b.client.wait_event("CHANNEL_HANGUP_COMPLETE").event["Hangup-Cause"] == "USER_BUSY"


def test_an_argument_may_come_as_the_body() -> None:
    with bench() as b:
        b.answered("1555", A)
        text = "greeting=Grüße"
        length = len(text.encode())
        count = len(b.client.replies)
        b.client.send(
            f"sendmsg {A}\ncall-command: execute\nexecute-app-name: set\ncontent-type: text/plain\n"
            f"content-length: {length}\n\n{text}"
        )
        wait_until(lambda: len(b.client.replies) > count)
        b.advance(0.1)
        assert b.client.api(f"uuid_getvar {A} greeting") == "Grüße"


def test_hupall_can_choose_by_a_variable() -> None:
    with bench() as b:
        b.originate("1555", A, "campaign=x")
        b.originate("1555", B, "campaign=y")
        b.advance(2.5)
        assert b.client.api("hupall NORMAL_CLEARING campaign x").startswith("+OK hangup all channels")
        b.advance(0.1)
        assert list(b.simulator.node.channels) == [B]


def test_a_busy_port_is_an_error_at_start() -> None:
    with (
        bench() as b,
        pytest.raises(OSError, match="in use"),
        simulated(SimulatorSettings(port=b.simulator.port), ManualClock()),
    ):
        pytest.fail("started on a taken port")


def test_the_shared_fixture_is_up(simulator: Simulator) -> None:
    assert simulator.port > 0


def test_uuid_record_and_tap_on_a_ringing_channel_fail() -> None:
    with bench() as b:
        b.originate("15550100005", A)
        b.advance(0.2)
        assert b.client.api(f"uuid_audio_fork {A} start ws://127.0.0.1:1/x mono 8k amd") == "-ERR Operation Failed\n"
        assert b.client.api(f"uuid_record {A} stop /x.wav") == "-ERR Operation Failed\n"
        assert b.client.api(f"uuid_record {A} x y").startswith("-USAGE")


def test_bgapi_makes_its_own_job_uuid_and_needs_a_command() -> None:
    with bench() as b:
        reply = b.client.command("bgapi hostname")
        job = reply.outer["Job-UUID"]
        b.advance(0.1)
        assert b.client.wait_event("BACKGROUND_JOB", Job_UUID=job).body == "fs-sim-1"
        assert b.client.command("bgapi").outer["Reply-Text"] == "-ERR command not found"
