"""Flows on channels: every kind of step from REST to the simulated node and back, with what the timeline says."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gevent import pywsgi

from fsbridge.model.ids import new_uuid
from fsbridge.simulator import FarEndBook, default_book, parse_script
from fsbridge.simulator.audio.sound import AUDIO_FOLDER
from fsbridge.simulator.farends.dialplan import STOCK, parked
from fsbridge.supervise import Supervisor
from tests.sim.simulator_helpers import AudioServer
from tests.sim.stack import ORG, Stack, running, settings, simulated_node, until

pytestmark = pytest.mark.sim

LISTENER = "+15550107000"
HELP_LINE = "+15550109000"


def far_ends() -> FarEndBook:
    scripts: dict[str, list[Any]] = {
        LISTENER: ["answer", {"silence": 600}],
        "+15550107001": ["answer", {"listen": {"quiet": 0.4}}, {"dtmf": "1"}, {"silence": 600}],
        "+15550107002": ["answer", {"silence": 0.5}, {"dtmf": "4711#"}, {"silence": 600}],
        "+15550107003": ["answer", {"silence": 1}, {"play": "person-hello.flac"}, {"silence": 600}],
        "+15550107004": ["answer", {"silence": 1}, {"beep": 0.5}, {"silence": 600}],
        "+15550107005": ["answer", {"silence": 2}, "hangup"],
        "+15550107006": ["answer", {"wait_dtmf": {"digits": 2, "seconds": 60}}, {"tone": {"hz": 620, "seconds": 1}},
                         {"silence": 600}],
        "+15550107008": ["answer", {"silence": 1.5}, {"speak": "yes please"}, {"silence": 600}],
        "+15550107486": ["busy"],
        "+15550107777": [{"ring": 0.5}, "answer", {"silence": 3}, "hangup"],
    }  # fmt: skip
    entries = [parse_script(number, number, steps) for number, steps in scripts.items()]
    return default_book().with_first(*entries)


class Customer:
    """The customer's own system: JSON over HTTP, which keeps what it was asked."""

    def __init__(self, supervisor: Supervisor) -> None:
        self.asked: list[dict[str, Any]] = []
        self.server = pywsgi.WSGIServer(("127.0.0.1", 0), self.answer, log=None, error_log=None)
        self.server.init_socket()  # its port is known from here on
        supervisor.spawn("test.customer", self.server.serve_forever)

    def answer(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        body = environ["wsgi.input"].read()
        self.asked.append({
            "path": environ["PATH_INFO"],
            "key": environ.get("HTTP_X_KEY"),
            "body": json.loads(body) if body else None,
        })  # fmt: skip
        status = "404 Not Found" if environ["PATH_INFO"].startswith("/missing") else "200 OK"
        start_response(status, [("Content-Type", "application/json")])
        return [json.dumps({"vip": True, "names": ["Alex"]}).encode()]


class House:
    """The running stack, with a customer's system and a voice bot's server beside it."""

    def __init__(self, stack: Stack, folder: Path, customer: Customer, bots: AudioServer, inbound: str) -> None:
        self.stack, self.folder, self.customer, self.bots, self.inbound = stack, folder, customer, bots, inbound

    def put(self, steps: str, head: str = "", flow: str | None = None) -> str:
        flow = flow or new_uuid()
        (self.folder / "flows" / ORG / f"{flow}.yaml").write_text(f"{head}\nsteps:\n{steps}\n")
        return flow

    def call(self, steps: str, to: str = LISTENER, head: str = "", **fields: Any) -> dict[str, Any]:
        """Place a call with this flow and wait for its end."""
        fields = {"variables": {}, **fields}
        answer = self.stack.place(to, flow=self.put(steps, head), mode="sync", **fields)
        resource: dict[str, Any] = answer.json()
        assert answer.status_code == 200, resource
        return resource

    def timeline(self, resource: dict[str, Any]) -> list[dict[str, Any]]:
        url = f"{self.stack.base}/cgw/outbound/v1/orgs/{ORG}/calls/{resource['sessionId']}/timeline"
        events: list[dict[str, Any]] = self.stack.session.get(url, timeout=10).json()["events"]
        return events

    def outcomes(self, resource: dict[str, Any]) -> list[tuple[str, str]]:
        ended = [event for event in self.timeline(resource) if event["event"] == "stepEnded"]
        return [(event["step"], event["outcome"]) for event in ended]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("flows")
    recordings = folder / "recordings"
    recordings.mkdir()
    supervisor = Supervisor()
    customer, bots = Customer(supervisor), AudioServer(supervisor)
    inbound = new_uuid()
    fields = {
        "far_ends": far_ends(),
        "dialplan": STOCK.with_first(parked(HELP_LINE, variables={"fsbridge_inbound": "help"})),
        "recordings": str(recordings),
    }
    with simulated_node(**fields) as simulator:
        configuration = settings(
            folder,
            simulator.port,
            flows={
                "requests_allow_private": True,
                "requests_allow_http": True,
                "bots_allow_private": True,
                "bots_allow_ws": True,
                "prompt_hosts": [f"127.0.0.1:{customer.server.server_port}"],
                "recordings_dir": str(recordings),
                "recordings_url": "https://files.example/calls",
                "asr_engine": "unimrcp",
                "asr_grammar": "builtin/speech",
            },
            inbound=[{"key": "help", "org": ORG, "flow": inbound}],
        )
        org = configuration.orgs[0].model_copy(update={"secrets": {"crm": configuration.nodes[0].password}})
        configuration = configuration.model_copy(update={"orgs": (org, *configuration.orgs[1:])})
        with running(configuration, simulator) as stack:
            yield House(stack, folder, customer, bots, inbound)
    customer.server.stop()
    bots.close()
    supervisor.stop()


def test_digits_choose_in_a_menu_and_the_result_reaches_the_caller(house: House) -> None:
    resource = house.call(
        """
  - id: ask
    menu: {speak: Press one to confirm, choices: {1: yes, 2: no}, variable: chosen, timeout: 60}
  - {id: no, hangup: USER_BUSY}
  - {id: yes, end: {result: {confirmed: '{{ chosen }}'}}}
""",
        to="+15550107001",
    )
    assert (resource["status"], resource["flowResult"]) == ("Completed", {"confirmed": "1"}), resource
    assert house.outcomes(resource) == [("ask", "done"), ("yes", "done")]
    assert "digits" in [event["event"] for event in house.timeline(resource)]


def test_secret_digits_are_in_no_timeline(house: House) -> None:
    resource = house.call(
        """
  - {id: pin, gather: {variable: pin, max: 8, timeout: 60, secret: true}}
  - {id: end, end: {result: '{{ pin }}'}}
""",
        to="+15550107002",
    )
    assert resource["flowResult"] == "4711", resource
    assert "4711" not in json.dumps(house.timeline(resource))
    assert "****" in json.dumps(house.timeline(resource))


def test_values_are_said_and_digits_are_sent(house: House) -> None:
    resource = house.call(
        """
  - {id: a, say: {value: '42'}}
  - {id: b, say: {value: '12.50', as: money}}
  - {id: c, send_dtmf: '12#'}
"""
    )
    assert resource["status"] == "Completed", resource
    assert house.outcomes(resource) == [("a", "done"), ("b", "done"), ("c", "done")]


def test_the_far_end_is_recorded(house: House) -> None:
    resource = house.call(
        """
  - {id: on, recording: start}
  - {id: memo, record: {max: 10, silence: 1, variable: memo}}
  - {id: off, recording: stop}
  - {id: end, end: {result: {url: '{{ memo }}', ms: '{{ memo_ms }}', call: '{{ call_recording }}'}}}
""",
        to="+15550107003",
    )
    assert resource["status"] == "Completed", resource
    result = resource["flowResult"]
    assert result["url"].startswith("https://files.example/calls/")
    assert result["ms"] > 500
    name = result["url"].rpartition("/")[2]
    assert (house.folder / "recordings" / name).stat().st_size > 1_000


def test_a_recording_that_cannot_be_opened_is_a_flow_error_in_no_trace(house: House) -> None:
    folder = house.folder / "recordings"
    folder.rename(house.folder / "away")
    # A folder that is missing would be made.
    folder.write_text("no folder")
    try:
        resource = house.call("  - {id: memo, record: {beep: false}}")
    finally:
        folder.unlink()
        (house.folder / "away").rename(folder)
    assert (resource["status"], resource["failureReason"]) == ("Failed", "flow_error"), resource
    assert "step memo: record failed: FreeSWITCH could not open the recording" in resource["failureDetail"]
    assert house.outcomes(resource) == [("memo", "failed")]


@pytest.mark.parametrize(
    ("step", "result"),
    [
        ("expect: {transcript: 'yes', timeout: 20}", "understood"),
        ("expect: {transcript: 'no way', timeout: 20}", "other"),
        ("gather: {variable: x, speech: {}, timeout: 20}", "understood"),
    ],
)
def test_what_is_said_is_understood_by_the_nodes_recogniser_in_no_trace(house: House, step: str, result: str) -> None:
    after = "  - {id: yes, end: {result: understood}}\n  - {id: no, end: {result: other}}"
    resource = house.call(f"  - {{id: a, {step}, on: {{failed: no}}}}\n{after}", to="+15550107008")
    assert resource["flowResult"] == result, (resource, house.timeline(resource))


NO_ENGINE = "{text: hello, engine: cepstral}"


@pytest.mark.parametrize(
    ("step", "outcome"),
    [(f"speak: {NO_ENGINE}", "unavailable"), (f"gather: {{variable: x, speak: {NO_ENGINE}}}", "failed")],
)
def test_an_engine_that_is_not_there_is_an_outcome_of_its_own(house: House, step: str, outcome: str) -> None:
    resource = house.call(f"  - {{id: s, {step}, on: {{{outcome}: no}}}}\n  - {{id: no, end: {{result: mute}}}}")
    assert resource["flowResult"] == "mute", (resource, house.timeline(resource))
    broken = house.call(f"  - {{id: s, {step}}}")
    assert "mod_cepstral is not loaded" in broken["failureDetail"]


@pytest.mark.parametrize(
    ("to", "what"),
    [
        ("+15550107003", "speech: true"),
        ("+15550107004", "beep: true"),
        (LISTENER, "silence: 2"),
        ("+15550107002", "dtmf: '4711'"),
    ],
)
def test_a_flow_waits_for_what_it_hears(house: House, to: str, what: str) -> None:
    wait = f"  - {{id: wait, wait_for: {{{what}, timeout: 40}}, on: {{timeout: no}}}}\n"
    after = "  - {id: yes, end: {result: heard}}\n  - {id: no, end: {result: missed}}"
    resource = house.call(wait + after, to=to)
    assert resource.get("flowResult") == "heard", (resource, house.timeline(resource))


def test_what_is_not_heard_is_told(house: House) -> None:
    resource = house.call("  - {id: e, expect: {beep: true, timeout: 1}}")
    assert (resource["status"], resource["failureReason"]) == ("Failed", "flow_error")
    assert "step e" in resource["failureDetail"]
    assert "no beep" in resource["failureDetail"]


def test_an_answer_to_digits_is_expected(house: House) -> None:
    resource = house.call(
        """
  - {id: press, send_dtmf: '12'}
  - {id: hear, expect: {tone: {frequency: 620}, timeout: 30}}
""",
        to="+15550107006",
    )
    assert resource["status"] == "Completed", (resource, house.timeline(resource))
    (heard,) = [event for event in house.timeline(resource) if event["event"] == "heard"]
    assert heard["what"] == "tone"
    assert 600 < heard["evidence"]["frequencyHz"] < 640


def test_a_flow_that_expects_fails_when_the_far_end_hangs_up(house: House) -> None:
    resource = house.call("  - {id: e, expect: {beep: true, timeout: 60}}", to="+15550107005")
    assert (resource["status"], resource["failureReason"]) == ("Failed", "flow_error"), resource
    assert house.outcomes(resource) == [("e", "hung_up")]


def test_another_flow_completes_when_the_far_end_hangs_up(house: House) -> None:
    resource = house.call("  - {id: p, pause: 100}", to="+15550107005")
    assert resource["status"] == "Completed", resource


def test_the_customers_system_is_asked(house: House) -> None:
    port = house.customer.server.server_port
    resource = house.call(
        f"""
  - id: ask
    request:
      url: http://127.0.0.1:{port}/customers/{{{{ id }}}}
      headers: {{X-Key: {{secret: crm}}}}
      body: {{to: '{{{{ destination }}}}'}}
      variable: crm
  - {{id: end, end: {{result: '{{{{ crm.body.names }}}}'}}}}
""",
        variables={"id": "7/8"},
    )
    assert resource["flowResult"] == ["Alex"], resource
    asked = house.customer.asked[-1]
    assert (asked["key"], asked["body"]) == ("ClueCon", {"to": LISTENER})
    assert asked["path"] == "/customers/7/8"  # one segment on the wire; WSGI decodes it


def test_a_system_that_refuses_has_an_outcome_of_its_own(house: House) -> None:
    port = house.customer.server.server_port
    resource = house.call(
        f"  - {{id: ask, request: {{url: 'http://127.0.0.1:{port}/missing', method: GET}}, on: {{refused: no}}}}\n"
        "  - {id: yes, end: {result: found}}\n  - {id: no, end: {result: '{{ response.status }}'}}"
    )
    assert resource["flowResult"] == 404, resource


BRIDGE = """
  - {{id: talk, bridge: {{to: '{to}', timeout: 10}}, on: {{busy: sorry}}}}
  - {{id: bye, end: {{result: talked}}}}
  - {{id: sorry, end: {{result: busy}}}}
"""


@pytest.mark.parametrize(("to", "result"), [("+15550107777", "talked"), ("+15550107486", "busy")])
def test_a_bridge_leaves_the_channel_to_the_flow(house: House, to: str, result: str) -> None:
    resource = house.call(BRIDGE.format(to=to))
    assert (resource["status"], resource["flowResult"]) == ("Completed", result), (resource, house.timeline(resource))


BOUNDED = ["bridge: {to: '+15550107000', timeout: 20, max: 1}", "conference: {room: team, max: 1}"]


@pytest.mark.parametrize("step", BOUNDED)
def test_what_has_a_bound_is_done_when_it_is_reached(house: House, step: str) -> None:
    resource = house.call(
        f"  - {{id: t, {step}}}\n  - {{id: p, play: person-thanks.flac}}\n  - {{id: l, end: {{result: on}}}}"
    )
    assert resource["flowResult"] == "on", (resource, house.timeline(resource))
    (ended,) = [each for each in house.timeline(resource) if each["event"] == "stepEnded" and each["step"] == "t"]
    assert (ended["outcome"], ended["detail"]) == ("done", "ended after its max of 1 s")
    assert ended["durationMs"] < 12_000  # the ringing's twenty seconds are not waited for


def test_a_transfer_ends_the_flow_and_not_the_call(house: House) -> None:
    resource = house.call("  - {id: t, transfer: {extension: park}}", to="+15550107005")
    assert resource["status"] == "Completed", resource
    assert house.outcomes(resource) == [("t", "done")]


def test_a_voice_bot_takes_part(house: House) -> None:
    say = [
        {"command": "set", "variables": {"mood": "good"}},
        {"command": "speak", "text": "Hello from the bot"},
        {"command": "done"},
    ]
    house.bots.say = [json.dumps({"type": "transcription", "data": command}) for command in say]
    resource = house.call(
        f"""
  - {{id: bot, stream: {{url: '{house.bots.url}', metadata: {{who: 'it''s {{{{ destination }}}}'}}}}}}
  - {{id: end, end: {{result: '{{{{ mood }}}}'}}}}
"""
    )
    assert resource["flowResult"] == "good", (resource, house.timeline(resource))
    assert json.loads(house.bots.heard[-1].texts[0]) == {"who": f"it's {LISTENER}"}


def test_a_bot_that_is_gone_is_an_outcome(house: House) -> None:
    house.bots.say = [json.dumps({"type": "disconnect"})]
    resource = house.call(
        f"  - {{id: bot, stream: {{url: '{house.bots.url}'}}, on: {{bot_gone: alone}}}}\n"
        "  - {id: end, end: {result: bot}}\n  - {id: alone, end: {result: alone}}"
    )
    assert resource["flowResult"] == "alone", (resource, house.timeline(resource))


def test_who_answered_decides_where_the_flow_begins(house: House) -> None:
    head = "entry: {live_person: person, answering_machine: machine}"
    steps = "  - {id: person, end: {result: person}}\n  - {id: machine, end: {result: machine}}"
    wanted = ["live_person", "answering_machine"]
    for to, result in (("+15550100001", "person"), ("+15550100002", "machine")):
        resource = house.call(steps, to=to, head=head, callAnalysis=wanted)
        assert resource["flowResult"] == result, (resource, house.timeline(resource))


def test_a_recording_is_recognised_and_another_is_not(house: House) -> None:
    steps = "  - {{id: e, expect: {{audio_like: {file}, timeout: 4}}, on: {{failed: no}}}}\n" \
            "  - {{id: yes, end: {{result: same}}}}\n  - {{id: no, end: {{result: other}}}}"  # fmt: skip
    folder = house.folder / "flows" / "audio"
    folder.mkdir(exist_ok=True)
    for name in ("person-hello.flac", "machine-reader.flac"):
        shutil.copy(AUDIO_FOLDER / name, folder / name)
    same = house.call(steps.format(file="person-hello.flac"), to="+15550107003")
    assert same["flowResult"] == "same", (same, house.timeline(same))
    other = house.call(steps.format(file="machine-reader.flac"), to="+15550107003")
    assert other["flowResult"] == "other", (other, house.timeline(other))
    missing = house.call("  - {id: e, expect: {audio_like: nothing.wav}}")
    assert "nothing.wav: there is no such file" in missing["failureDetail"]


def test_sound_from_the_customers_server_and_a_notice_on_the_way(house: House) -> None:
    port = house.customer.server.server_port
    before = len(house.customer.asked)
    resource = house.call(
        f"  - {{id: p, play: 'http://127.0.0.1:{port}/missing.wav', on: {{missing: n, failed: n}}}}\n"
        "  - {id: n, notify: {name: played, data: {by: '{{ destination }}'}}}",
        webhookUrl=f"http://127.0.0.1:{port}/hook",
        webhookAuth="secret",
    )
    assert resource["status"] == "Completed", (resource, house.timeline(resource))
    until(lambda: any((asked["body"] or {}).get("event") == "call.event" for asked in house.customer.asked[before:]))
    told = next(asked["body"] for asked in house.customer.asked[before:] if asked["path"] == "/hook")
    assert (told["name"], told["data"]) == ("played", {"by": LISTENER})


def test_two_flows_talk_to_each_other_one_of_them_inbound(house: House) -> None:
    house.put(
        """
  - {id: wait, wait_for: {dtmf: '42', timeout: 60}}
  - {id: beep, play: 'tone_stream://%(800,0,620)'}
  - {id: bye, pause: 3}
""",
        flow=house.inbound,
    )
    resource = house.call(
        """
  - {id: press, send_dtmf: '42'}
  - {id: hear, expect: {tone: {frequency: 620}, timeout: 40}}
""",
        to=HELP_LINE,
    )
    assert resource["status"] == "Completed", (resource, house.timeline(resource))
    assert house.outcomes(resource) == [("press", "done"), ("hear", "done")]


def test_a_timeline_begins_and_ends(house: House) -> None:
    resource = house.call("  - {id: p, pause: 0.2}")
    words = [event["event"] for event in house.timeline(resource)]
    assert words[:2] == ["placed", "originated"]
    assert words[-1] == "ended"
    assert [w for w in words if w in ("answered", "stepStarted", "stepEnded", "hangup")] == [
        "answered", "stepStarted", "stepEnded", "hangup",
    ]  # fmt: skip
    assert resource["flowVersion"]
