"""The packaged examples: valid, played on the simulated node with people, machines and those who hang up."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gevent import pywsgi

from fsbridge.flow.document.document import parse
from fsbridge.model.ids import new_uuid
from fsbridge.simulator import default_book, parse_script
from fsbridge.supervise import Supervisor
from tests.sim.simulator_helpers import AudioServer
from tests.sim.stack import ORG, Stack, running, settings, simulated_node

pytestmark = pytest.mark.sim

EXAMPLES = Path(__file__).resolve().parents[2] / "fsbridge" / "flow" / "examples"
ANSWER = EXAMPLES / "suites" / "answer.yaml"
NAMES = sorted(path.name for path in EXAMPLES.glob("*.yaml"))
QUIET, GONE, MACHINE = "+15550307000", "+15550307001", "+15550100002"


def presses(*digits: str) -> list[Any]:
    """Somebody who answers each question with the next of these keys, once it has been put."""
    answers = [[{"listen": {"quiet": 0.5}}, {"dtmf": each}] for each in digits]
    return ["answer", *[step for answer in answers for step in answer], {"silence": 600}]


SCRIPTS: dict[str, list[Any]] = {
    QUIET: ["answer", {"silence": 600}],
    GONE: ["answer", {"silence": 1.5}, "hangup"],
    "+15550307002": ["answer", {"listen": {"quiet": 0.5}}, *presses("1")[1:]],
    "+15550307003": ["answer", {"listen": {"quiet": 0.5}}, *presses("2")[1:]],
    "+15550307004": ["answer", {"listen": {"quiet": 0.5}}, *presses("4711", "1")[1:]],
    "+15550307005": ["answer", {"listen": {"quiet": 0.5}}, *presses("5", "1", "12#")[1:]],
    "+15550307777": ["answer", {"silence": 2}, "hangup"],
}


class Played:
    """The stack, with every example as a flow of its organization."""

    def __init__(self, stack: Stack, folder: Path, billing: str, bot: str) -> None:
        self.stack = stack
        self.flows: dict[str, str] = {}
        for name in NAMES:
            text = (EXAMPLES / name).read_text().replace("https://billing.example.com", billing)
            text = text.replace("+15550100200", "+15550307777")
            if name == "voice_bot.yaml":
                self._put(folder, "voice_bot_there.yaml", text.replace("wss://bot.example.com/calls", bot))
            self._put(folder, name, text.replace("wss://bot.example.com", "ws://127.0.0.1:9"))

    def _put(self, folder: Path, name: str, text: str) -> None:
        self.flows[name] = new_uuid()
        (folder / "flows" / ORG / f"{self.flows[name]}.yaml").write_text(text)

    def call(self, name: str, to: str, **fields: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        answer = self.stack.place(to, flow=self.flows[f"{name}.yaml"], mode="sync", **{"variables": {}, **fields})
        assert answer.status_code == 200, answer.text
        resource = answer.json()
        url = f"{self.stack.base}/cgw/outbound/v1/orgs/{ORG}/calls/{resource['sessionId']}/timeline"
        return resource, self.stack.session.get(url, timeout=10).json()["events"]


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    folder, supervisor = tmp_path_factory.mktemp("examples"), Supervisor()

    def billing(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        known = json.loads(environ["wsgi.input"].read())["pin"] == "4711"
        start_response("200 OK" if known else "403 Forbidden", [("Content-Type", "application/json")])
        return [b"{}"]

    server = pywsgi.WSGIServer(("127.0.0.1", 0), billing, log=None, error_log=None)
    supervisor.spawn("test.billing", server.serve_forever)
    bot = AudioServer(supervisor)
    commands = [{"command": "set", "variables": {"want": "person"}}, {"command": "done"}]
    bot.say = [json.dumps({"type": "transcription", "data": command}) for command in commands]
    book = default_book().with_first(*(parse_script(number, number, steps) for number, steps in SCRIPTS.items()))
    open_to_tests = {"requests_allow_private": True, "requests_allow_http": True, "bots_allow_private": True}
    with simulated_node(far_ends=book) as simulator:
        configuration = settings(folder, simulator.port, flows={**open_to_tests, "bots_allow_ws": True})
        org = configuration.orgs[0].model_copy(update={"secrets": {"billing": configuration.nodes[0].password}})
        configuration = configuration.model_copy(update={"orgs": (org, *configuration.orgs[1:])})
        with running(configuration, simulator) as stack:
            yield Played(stack, folder, f"http://127.0.0.1:{server.server_port}", bot.url)
    server.stop()
    bot.close()
    supervisor.stop()


def way(events: list[dict[str, Any]]) -> list[str]:
    """The steps that ended, and what each came to, in order."""
    return [f"{event['step']} {event['outcome']}" for event in events if event["event"] == "stepEnded"]


@pytest.mark.parametrize("path", [*sorted(EXAMPLES.glob("*.yaml")), ANSWER], ids=lambda path: path.stem)
def test_an_example_is_whole_by_itself(path: Path) -> None:
    assert parse(path.read_text(), path.name, call_variables=False).body.name


@pytest.mark.parametrize(
    ("name", "to", "result", "steps"),
    [
        (
            "appointment_reminder", "+15550307002", {"appointment": "confirmed"},
            "greet done, ask done, confirmed done, confirmed_end done",
        ),
        (
            "appointment_reminder", "+15550307003", {"appointment": "cancelled"},
            "greet done, ask done, cancelled done, cancelled_end done",
        ),
        (
            "appointment_reminder", QUIET, {"appointment": "no_answer"},
            "greet done, ask timeout, no_answer done",
        ),
        (
            "payment_reminder", "+15550307004", {"paid": "by_card", "identified": True},
            "greet done, pin done, check done, tell done, promise done, card done",
        ),
        ("payment_reminder", QUIET, {"paid": "not_yet"}, "greet done, pin timeout, bye done"),
        (
            "survey", "+15550307005", {"score": "5", "again": "1", "calls": "12"},
            "greet done, score done, again done, calls done, thanks done, end done",
        ),
        (
            "survey", QUIET, {"score": "", "again": "", "calls": ""},
            "greet done, score timeout, again timeout, calls timeout, thanks done, end done",
        ),
        (
            "alert", "+15550307002", {"acknowledged": True, "by": "+15550307002"},
            "say_it done, ask done, taken failed, thanks done, taken_end done",
        ),
        (
            "alert", "+15550307003", {"acknowledged": False, "reason": "refused"},
            "say_it done, ask done, refused done",
        ),
        ("voice_bot", QUIET, {"handled_by": "person"}, "bot failed, sorry done, connect done, talked done"),
        ("voice_bot_there", QUIET, {"handled_by": "person"}, "bot done, what_next done, connect done, talked done"),
    ],
)  # fmt: skip
def test_an_example_comes_to_its_result_by_its_steps(
    played: Played, name: str, to: str, result: dict[str, Any], steps: str
) -> None:
    resource, events = played.call(name, to)
    assert (resource["status"], resource.get("flowResult")) == ("Completed", result), (resource, events)
    assert way(events) == steps.split(", ")
    assert [event["event"] for event in events[-2:]] == ["hangup", "ended"]


@pytest.mark.parametrize(
    ("name", "result"),
    [
        ("appointment_reminder", {"appointment": "left_word"}),
        ("alert", {"acknowledged": False, "reason": "machine"}),
    ],
)
def test_a_machine_gets_a_message_after_its_beep(played: Played, name: str, result: dict[str, Any]) -> None:
    resource, events = played.call(name, MACHINE, callAnalysis=["live_person", "answering_machine"])
    assert (resource["callAnalysisResult"], resource.get("flowResult")) == ("answering_machine", result), events
    assert resource["callAnalysisDetails"]["beepMs"] is not None


def test_a_pin_stands_nowhere(played: Played) -> None:
    _, events = played.call("payment_reminder", "+15550307004")
    assert "4711" not in json.dumps(events)
    assert [event["detail"] for event in events if event.get("step") == "pin" and "detail" in event] == ["****"]


@pytest.mark.parametrize("name", [name.removesuffix(".yaml") for name in NAMES])
def test_whoever_hangs_up_midway_ends_the_call_and_not_more(played: Played, name: str) -> None:
    resource, events = played.call(name, GONE)
    assert resource["status"] == ("Failed" if name == "ivr_smoke" else "Completed"), events
    assert events[-1]["event"] == "ended"


def test_examples_are_copied_out_and_played_in_fast_time(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "api", "flows"]
    out = tmp_path / "mine"
    subprocess.run([*command, "init", str(out)], check=True, capture_output=True, timeout=60)
    again = subprocess.run([*command, "init", str(out)], capture_output=True, text=True, timeout=60, check=False)
    assert (again.returncode, "not empty" in again.stderr) == (2, True)
    script = tmp_path / "confirms.yaml"
    script.write_text(json.dumps(SCRIPTS["+15550307002"]))
    done = subprocess.run(
        [*command, "run", str(out / "appointment_reminder.yaml"), "--far-end", str(script), "--var", "name=Alex"],
        capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip
    assert done.returncode == 0, (done.stdout, done.stderr)
    assert 'flowResult: {"appointment": "confirmed"}' in done.stdout
    assert "ask (menu) → done" in done.stdout


def test_a_flow_is_tried_from_the_entry_of_a_verdict() -> None:
    command = [sys.executable, "-m", "api", "flows", "run", str(EXAMPLES / "appointment_reminder.yaml"), "--json"]
    command += ["--verdict", "answering_machine", "--far-end", "live_person"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, (done.stdout, done.stderr)
    told = json.loads(done.stdout)
    assert told["call"]["flowResult"] == {"appointment": "left_word"}
    assert way(told["events"]) == ["leave_word done", "left done"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--far-end", "nobody"], "there is no far end 'nobody'"),
        (["--var", "x"], "write NAME=VALUE"),
        (["--verdict", "robot"], "there are live_person, answering_machine, unknown"),
        (["--verdict", "unknown", "--analyse"], "give one of them"),
    ],
)
def test_what_cannot_be_played_is_said(tmp_path: Path, arguments: list[str], said: str) -> None:
    command = [sys.executable, "-m", "api", "flows", "run", str(EXAMPLES / "survey.yaml"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path)
    assert (done.returncode, said in done.stderr) == (2, True), done.stderr
