"""The doctor's judgements, on what a real node replied and on what a sick one would."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from fsbridge.doctor import doctor
from fsbridge.doctor import replies as doctor_replies
from fsbridge.doctor.findings import Finding, Level
from fsbridge.doctor.flows import FlowNeeds, examine_flows
from fsbridge.doctor.replies import Gateway, Status
from fsbridge.settings.nodes import NodeSettings
from fsbridge.settings.reading import parse
from fsbridge.settings.whole import Settings
from tests.traces.loader import conversation

pytestmark = pytest.mark.unit

ORG = "22222222-2222-4222-8222-222222222222"
FLOW = "33333333-3333-4333-8333-33333333333"
HTTPS_FLOW = """
engine: polly
steps:
  - {id: a, play: "https://prompts.example/hello.wav"}
  - {id: b, speak: Hello}
  - {id: c, speak: {text: Hello, engine: azure}}
  - {id: d, gather: {variable: digit, prompt: menu.wav}}
"""


def recorded() -> dict[str, str]:
    """Command → reply of the recorded conversation; replies come in the order of the commands."""
    replies: dict[str, str] = {}
    asked: list[str] = []
    for entry in conversation("node_queries"):
        text = entry.raw.decode()
        if entry.dir == "send" and text.startswith("api "):
            asked.append(text.removeprefix("api ").strip())
        elif entry.dir == "recv" and text.startswith("Content-Type: api/response"):
            replies.setdefault(asked.pop(0), text.partition("\n\n")[2])
    return replies


REAL = recorded()


def settings(**tables: object) -> Settings:
    trunk = {"name": "t", "gateways": ["carrier"], "caller_id": "100"}
    least: dict[str, object] = {"nodes": [{"name": "n"}], "trunks": [trunk]}
    return parse(least | tables)


def examine(
    changed: Mapping[str, str] | None = None, needs: FlowNeeds | None = None, **tables: object
) -> dict[str, Finding]:
    """What is found, by check, on the recorded node with some replies changed; every other module is loaded."""
    replies = REAL | {"fsctl pause_check outbound": "false"} | dict(changed or {})
    configuration = settings(**tables)
    asked: list[str] = []

    def ask(command: str) -> str:
        asked.append(command)
        return replies.get(command, "true" if command.startswith("module_exists ") else "-ERR no reply\n")

    found = doctor.examine_node(configuration.nodes[0], configuration, needs or FlowNeeds(), ask)
    assert all(command.startswith(doctor.READS) for command in asked), asked
    return {finding.check: finding for finding in found}


def test_recorded_replies_are_read() -> None:
    assert doctor_replies.read_version(REAL["version"]) == (1, 11)
    assert doctor_replies.read_status(REAL["status"]) == Status(ready=True, sessions=0, max_sessions=2000, max_rate=300)
    assert doctor_replies.read_profiles(REAL["sofia status"]) == {"external": "RUNNING (0)"}
    assert doctor_replies.read_gateway(REAL["sofia status gateway carrier"]) == Gateway("UP", "NOREG", False, 0, 0)
    assert doctor_replies.read_gateway(REAL["sofia status gateway nosuch"]) is None


@pytest.mark.parametrize("text", ["", "-ERR status Command not found!\n", "UP 0 years\n", "\t\t\t\n\0"])
def test_other_texts_are_no_replies(text: str) -> None:
    assert doctor_replies.read_version(text) is None
    assert doctor_replies.read_status(text) is None
    assert doctor_replies.read_gateway(text) is None
    assert doctor_replies.read_profiles(text) == {}


def test_the_recorded_node_is_fit_but_for_a_gateway_that_nobody_watches() -> None:
    found = examine()
    gateway = found.pop("gateway carrier")
    assert (gateway.level, "ping" in gateway.change) == (Level.WARNING, True)
    assert {finding.level for finding in found.values()} == {Level.OK}, found
    assert found["version"].text == "FreeSWITCH 1.11"
    assert "2000 sessions, 300" in found["limits"].text
    assert all(finding.change == "" for finding in found.values())


CARRIER = REAL["sofia status gateway carrier"]
STATUS = REAL["status"]


@pytest.mark.parametrize(
    ("command", "reply", "check", "level", "change"),
    [
        ("version", "FreeSWITCH Version 1.8.7-release~64bit", "version", Level.WARNING, "upgrade"),
        ("version", "Asterisk", "version", Level.WARNING, "mod_commands"),
        ("status", "-ERR status Command not found!", "limits", Level.WARNING, "mod_commands"),
        ("status", STATUS.replace("2000 session", "20 session"), "limits", Level.WARNING, "max-sessions"),
        ("status", STATUS.replace("out of max 300", "out of max 5"), "limits", Level.WARNING, "sessions-per-second"),
        ("status", STATUS.replace("0 session(s) - peak", "1900 session(s) - peak"), "limits", Level.WARNING, "max-"),
        ("fsctl pause_check outbound", "true", "takes calls", Level.PROBLEM, "fsctl resume"),
        ("sofia status", "", "SIP profile", Level.PROBLEM, "sofia profile external start"),
        ("sofia status gateway carrier", "Invalid Gateway!\n", "gateway carrier", Level.PROBLEM, "carrier.xml"),
        (
            "sofia status gateway carrier",
            CARRIER.replace("Status  \tUP", "Status  \tDOWN"),
            "gateway carrier",
            Level.PROBLEM,
            "proxy",
        ),
        (
            "sofia status gateway carrier",
            CARRIER.replace("NOREG", "FAIL_WAIT"),
            "gateway carrier",
            Level.PROBLEM,
            "pass",
        ),
        (
            "sofia status gateway carrier",
            CARRIER.replace("CallsOUT\t0\n", "CallsOUT\t7\n", 1).replace("FailedCallsOUT\t0", "FailedCallsOUT\t7"),
            "gateway carrier",
            Level.WARNING,
            "ask the carrier",
        ),
        ("sofia status gateway carrier", CARRIER.replace("NOREG", "REGED"), "gateway carrier", Level.OK, ""),
        (
            "sofia status gateway carrier",
            CARRIER.replace("PingFreq\t0", "PingFreq\t25"),
            "gateway carrier",
            Level.OK,
            "",
        ),
        ("module_exists mod_audio_fork", "false", "mod_audio_fork", Level.PROBLEM, "modules.conf.xml"),
        ("module_exists mod_sofia", "-ERR module_exists Command not found!\n", "mod_sofia", Level.PROBLEM, "load"),
        ("module_exists mod_hash", "false", "mod_hash", Level.WARNING, "load mod_hash"),
        ("module_exists mod_flite", "false", "mod_flite", Level.WARNING, "load mod_flite"),
        ("module_exists mod_sndfile", "false", "mod_sndfile", Level.WARNING, "load mod_sndfile"),
    ],
)
def test_a_sick_reply_is_told_with_what_to_change(
    command: str, reply: str, check: str, level: Level, change: str
) -> None:
    assert reply != REAL.get(command)
    found = examine({command: reply})[check]
    assert found.level is level
    assert change in found.change
    assert bool(found.change) == (level is not Level.OK)


def test_a_node_that_knows_no_pause_check_is_judged_by_its_status() -> None:
    unknown = {"fsctl pause_check outbound": "-ERR usage"}
    assert examine(unknown)["takes calls"].level is Level.OK
    paused = unknown | {"status": STATUS.replace("is ready", "is not ready")}
    assert examine(paused)["takes calls"].level is Level.PROBLEM


def test_a_missing_module_matters_as_much_as_the_flows_use_it() -> None:
    gone = {f"module_exists mod_{name}": "false" for name in ("polly", "tone_stream", "http_cache", "sndfile")}
    needs = FlowNeeds(frozenset({"play", "pause", "speak"}), frozenset({"polly"}), web_prompts=True)
    found = examine(gone, needs)
    for module in ("mod_polly", "mod_tone_stream", "mod_http_cache", "mod_sndfile"):
        assert found[module].level is Level.PROBLEM
    assert "mod_http_cache" not in examine(gone)


def test_a_profile_is_no_problem_where_no_sip_uri_is_dialled() -> None:
    trunks = [{"name": name, "gateways": [name], "sip_uris": False} for name in ("carrier", "nosuch")]
    found = examine({"sofia status": ""}, trunks=trunks)
    assert found["SIP profile"].level is Level.WARNING
    assert found["gateway nosuch"].level is Level.PROBLEM


def node(host: str) -> NodeSettings:
    return NodeSettings(name="n", host=host)


@pytest.mark.parametrize(
    ("host", "amd", "level", "change"),
    [
        ("127.0.0.1", {}, Level.OK, ""),
        ("localhost", {"host": "0.0.0.0"}, Level.OK, ""),
        ("10.0.0.9", {}, Level.PROBLEM, "amd.advertise_host"),
        ("10.0.0.9", {"host": "0.0.0.0"}, Level.PROBLEM, "amd.advertise_host"),
        ("10.0.0.9", {"advertise_host": "10.0.0.5"}, Level.PROBLEM, "amd.host"),
        ("10.0.0.9", {"host": "0.0.0.0", "advertise_host": "10.0.0.5"}, Level.WARNING, "amd.base_port"),
        ("fs", {"host": "0.0.0.0", "advertise_host": "fsbridge", "base_port": 9200}, Level.OK, ""),
        ("10.0.0.9", {"host": "10.0.0.5", "base_port": 9200}, Level.OK, ""),
        ("10.0.0.9", {"workers": 0, "urls": ["ws://localhost:9201/amd"]}, Level.PROBLEM, "amd.urls"),
        ("10.0.0.9", {"workers": 0, "urls": ["ws://10.0.0.7:9201/amd"]}, Level.OK, ""),
    ],
)
def test_a_node_needs_workers_that_it_can_reach(host: str, amd: dict[str, object], level: Level, change: str) -> None:
    (found,) = doctor.examine_taps(node(host), settings(amd=amd).amd)
    assert found.level is level
    assert change in found.change


def test_the_configuration_is_looked_at() -> None:
    key = "sha256:" + "0" * 64
    orgs = [{"id": ORG, "name": "A", "api_keys": [key]}, {"id": ORG[:-1] + "3", "name": "B"}]
    web = {"allow_http": True, "allow_private": True}
    found = doctor.examine_settings(settings(orgs=orgs, webhooks=web), {key})
    assert [(finding.level, finding.check) for finding in found] == [
        (Level.PROBLEM, "keys of A"),
        (Level.WARNING, "keys of B"),
        (Level.WARNING, "webhooks"),
        (Level.WARNING, "webhooks"),
    ]
    assert [finding.check for finding in doctor.examine_settings(settings())] == ["organizations", "webhooks"]
    good = doctor.examine_settings(settings(orgs=orgs[:1]))
    assert {finding.level for finding in good} == {Level.OK}


def test_flows_are_read_as_the_service_would(tmp_path: Path) -> None:
    folder = tmp_path / ORG
    folder.mkdir()
    (folder / f"{FLOW}1.yaml").write_text(HTTPS_FLOW)
    (folder / f"{FLOW}2.yaml").write_text("steps: [{id: a, pause: 1, next: b}, {id: c, sing: la}]")
    (folder / f"{FLOW}3.yaml").write_bytes(b"\xff")
    (folder / "hello.yaml").write_text("steps: [{id: a, pause: 1}]")
    (folder / "notes.txt").write_text("not a flow")
    orgs = [{"id": ORG, "name": "A"}, {"id": ORG[:-1] + "3", "name": "B"}]
    notes, needs = examine_flows(settings(orgs=orgs, flows={"dir": str(tmp_path)}))
    found = notes.found
    assert [(finding.level, finding.check) for finding in found] == [
        (Level.PROBLEM, "flows of A"),
        (Level.PROBLEM, "flows of A"),
        (Level.WARNING, "flows of A"),
        (Level.OK, "flows of A"),
        (Level.WARNING, "flows of B"),
    ]
    assert "UTF-8" in found[1].text
    assert "hello.yaml" in found[2].text
    assert needs == FlowNeeds(frozenset({"play", "speak", "gather"}), frozenset({"polly", "azure"}), web_prompts=True)


def test_no_flows_need_nothing(tmp_path: Path) -> None:
    notes, needs = examine_flows(settings(flows={"dir": str(tmp_path / "nowhere")}))
    assert (notes.found, needs) == ([], FlowNeeds())
