"""The doctor's judgements, on what a real node replied and on what a sick one would."""

from __future__ import annotations

import pytest

from fsbridge.doctor import (
    Finding,
    Grade,
    judge_configuration,
    judge_gateway,
    judge_limits,
    judge_module,
    judge_profile,
    judge_reach,
    judge_version,
    worst,
)
from fsbridge.settings import Settings, parse
from tests.traces.loader import conversation

pytestmark = pytest.mark.unit

ORG = "22222222-2222-4222-8222-222222222222"


def replies() -> dict[str, str]:
    """Command → reply of the recorded conversation."""
    found: dict[str, str] = {}
    asked: list[str] = []
    for line in conversation("node_queries"):
        text = line.raw.decode()
        if line.dir == "send" and text.startswith("api "):
            asked.append(text[4:].strip())
        elif line.dir == "recv" and text.startswith("Content-Type: api/response"):
            found.setdefault(asked.pop(0), text.partition("\n\n")[2])
    return found


RECORDED = replies()


def test_a_healthy_node_is_found_healthy() -> None:
    findings = [
        judge_version("n", RECORDED["version"]),
        *judge_limits("n", RECORDED["status"]),
        judge_module("n", "mod_audio_fork", RECORDED["module_exists mod_audio_fork"], Grade.PROBLEM, "why"),
        judge_profile("n", "external", RECORDED["sofia status"]),
        judge_gateway("n", "carrier", RECORDED["sofia status gateway carrier"]),
    ]
    assert {finding.grade for finding in findings} == {Grade.OK}, findings
    assert "1.11.3" in findings[0].what
    assert "2000 sessions, 300 new ones" in findings[1].what


@pytest.mark.parametrize(
    ("finding", "grade", "word"),
    [
        (judge_module("n", "mod_nope", RECORDED["module_exists mod_nope"], Grade.WARNING, "w"), Grade.WARNING, "load"),
        (judge_gateway("n", "nosuch", RECORDED["sofia status gateway nosuch"]), Grade.PROBLEM, "nosuch.xml"),
        (judge_profile("n", "internal", RECORDED["sofia status"]), Grade.PROBLEM, "internal"),
        (judge_gateway("n", "g", "State   \tFAIL_WAIT\nStatus  \tUP\n"), Grade.PROBLEM, "registered"),
        (judge_gateway("n", "g", "State   \tNOREG\nStatus  \tDOWN\n"), Grade.PROBLEM, "does not answer"),
        (judge_version("n", "FreeSWITCH Version 1.8.7-release"), Grade.WARNING, "1.10"),
    ],
)
def test_what_is_wrong_is_told_with_what_to_change(finding: Finding, grade: Grade, word: str) -> None:
    assert finding.grade is grade
    assert word in finding.advice


def test_low_limits_a_pause_and_nonsense() -> None:
    low = list(judge_limits("n", "0 session(s) per Sec out of max 5, peak 1\n10 session(s) max\n"))
    assert [finding.grade for finding in low] == [Grade.WARNING]
    paused = list(judge_limits("n", RECORDED["status"].replace("is ready", "is not ready")))
    assert paused[-1].grade is Grade.PROBLEM
    assert next(iter(judge_limits("n", "?"))).grade is Grade.WARNING
    assert judge_version("n", "?").grade is Grade.WARNING


def configuration(**tables: object) -> Settings:
    least: dict[str, object] = {"nodes": [{"name": "n"}], "trunks": [{"name": "t", "gateways": ["g"]}]}
    return parse(least | tables)


@pytest.mark.parametrize(
    ("host", "amd", "reachable"),
    [
        ("127.0.0.1", {}, True),
        ("10.0.0.9", {}, False),
        ("10.0.0.9", {"advertise_host": "10.0.0.5"}, True),
        ("10.0.0.9", {"workers": 0, "urls": ["ws://localhost:9201/amd"]}, False),
        ("10.0.0.9", {"workers": 0, "urls": ["ws://10.0.0.7:9201/amd"]}, True),
    ],
)
def test_a_remote_node_needs_workers_that_it_can_reach(host: str, amd: dict[str, object], reachable: bool) -> None:
    settings = configuration(nodes=[{"name": "n", "host": host}], amd=amd)
    assert (judge_reach(settings.nodes[0], settings) is None) == reachable


def test_the_configuration_is_looked_at(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("flows")
    (folder / ORG).mkdir()
    (folder / ORG / "good.yaml").write_text("steps: [{id: a, pause: 1}]")
    (folder / ORG / "bad.yaml").write_text("steps: [{id: a, pause: 1, next: b}, {id: c, speak: '{{'}]")
    (folder / ORG / "binary.yaml").write_bytes(b"\xff")
    key = "sha256:" + "0" * 64
    settings = configuration(
        orgs=[{"id": ORG, "api_keys": [key]}, {"id": ORG[:-1] + "3"}],
        flows={"dir": str(folder)},
        webhooks={"allow_http": True},
    )
    found = list(judge_configuration(settings, key))
    text = "\n".join(f"{finding.grade} {finding.what}" for finding in found)
    for words in (
        "example's API key",
        "no API key",
        "has no flow",
        "(and 1 more)",
        "cannot be read",
        "1 valid",
        "clear text",
    ):
        assert words in text
    assert worst(found) is Grade.PROBLEM
    assert worst([]) is Grade.OK
    assert any("no organization" in finding.what for finding in judge_configuration(configuration(), key))
