"""The doctor on flows: what a document names has to be there, and a node has to have what its steps need."""

from __future__ import annotations

from pathlib import Path

import pytest

from fsbridge.doctor.findings import Finding, Level
from fsbridge.doctor.flows import FlowNeeds, examine_flows, wanted_modules
from fsbridge.settings.reading import parse
from fsbridge.settings.whole import Settings

pytestmark = pytest.mark.unit

ORG = "22222222-2222-4222-8222-222222222222"
FLOW = "33333333-3333-4333-8333-333333333333"


def settings(folder: Path, *, secrets: dict[str, str] | None = None, **tables: object) -> Settings:
    flows = {"dir": str(folder)}
    return parse(
        {
            "nodes": [{"name": "n"}],
            "trunks": [{"name": "main", "gateways": ["g"], "caller_id": "100"}],
            "orgs": [{"id": ORG, "name": "A", "secrets": secrets or {}}],
            **tables,
            "flows": {**flows, **tables.get("flows", {})},  # type: ignore[dict-item]
        }
    )


def written(folder: Path, steps: str, flow: str = FLOW) -> Path:
    (folder / ORG).mkdir(exist_ok=True)
    path = folder / ORG / f"{flow}.yaml"
    path.write_text(f"steps:\n{steps}")
    return path


def problems(configured: Settings) -> list[Finding]:
    notes, _ = examine_flows(configured)
    return [finding for finding in notes.found if finding.level is Level.PROBLEM]


STEPS = {
    "secret": (
        "  - {id: a, request: {url: 'https://crm.example.com/', headers: {Authorization: {secret: crm}}}}",
        "there is no secret 'crm'",
        "orgs.secrets.crm of A",
    ),
    "trunk": (
        "  - {id: a, bridge: {to: '+15551234567', trunk: elsewhere}}",
        "there is no trunk 'elsewhere'",
        "the step's trunk: main",
    ),
    "audio": ("  - {id: a, expect: {audio_like: {file: menu.wav}}}", "there is no recording", "flows.audio_dir"),
}


@pytest.mark.parametrize("case", STEPS)
def test_what_a_step_names_has_to_be_there(tmp_path: Path, case: str) -> None:
    steps, words, change = STEPS[case]
    path = written(tmp_path, steps)
    (found,) = problems(settings(tmp_path))
    assert found.check == "flows of A"
    assert found.text.startswith(f"{path.name}, step a: ")
    assert words in found.text
    assert change in found.change


def test_and_when_it_is_there_all_is_well(tmp_path: Path) -> None:
    steps = [case[0].replace("{id: a", f"{{id: {name}") for name, case in STEPS.items()]
    written(tmp_path, "\n".join(steps).replace("elsewhere", "main"))
    (tmp_path / "audio").mkdir()
    (tmp_path / "audio" / "menu.wav").write_bytes(b"RIFF")
    flows = {"recordings_dir": "/srv/rec", "asr_engine": "vosk", "asr_grammar": "any"}
    assert problems(settings(tmp_path, secrets={"crm": "Bearer x"}, flows=flows)) == []


def test_prompts_from_the_web_have_to_be_allowed(tmp_path: Path) -> None:
    written(tmp_path, "  - {id: a, menu: {prompt: 'https://files.example.com/m.wav', choices: {'1': a}}}")
    assert problems(settings(tmp_path)) == []
    (found,) = problems(settings(tmp_path, flows={"http_prompts": False}))
    assert "flows.http_prompts is false" in found.text


def test_every_number_has_to_lead_to_a_flow(tmp_path: Path) -> None:
    written(tmp_path, "  - {id: a, pause: 1}")
    entries = [
        {"number": "+15550100200", "org": ORG, "flow": FLOW},
        {"key": "sales", "org": ORG, "flow": FLOW[:-1] + "4"},
    ]
    notes, _ = examine_flows(settings(tmp_path, inbound=entries))
    good, bad = [[f for f in notes.found if f.check == "calls that come in" and f.level is level] for level in LEVELS]
    assert "1 entries" in good[0].text
    assert "calls to sales would be refused: there is no flow" in bad[0].text
    assert "inbound.1.flow" in bad[0].change


LEVELS = (Level.OK, Level.PROBLEM)


def test_what_flows_need_of_a_node(tmp_path: Path) -> None:
    written(
        tmp_path,
        """
  - {id: a, speak: hello}
  - {id: b, say: {value: "12", as: number, language: de}}
  - {id: c, say: {value: "12", as: number}}
  - {id: d, menu: {speak: {text: press one, engine: polly}, choices: {"1": e}}}
  - {id: e, gather: {variable: x, speech: {engine: vosk, grammar: any}}}
  - {id: f, conference: {room: r}}
""",
    )
    _, needs = examine_flows(settings(tmp_path))
    assert needs == FlowNeeds(
        kinds=frozenset({"speak", "say", "menu", "gather", "conference"}),
        engines=frozenset({"flite", "polly"}),
        sayings=frozenset({"de", "en"}),
        recognisers=frozenset({"vosk"}),
    )
    wanted = wanted_modules(settings(tmp_path), needs)
    for modules in [("mod_polly",), ("mod_say_de",), ("mod_say_en",), ("mod_vosk", "mod_unimrcp"), ("mod_conference",)]:
        assert wanted[modules][1] is Level.PROBLEM
    assert wanted[("mod_tone_stream",)][1] is Level.PROBLEM
    assert wanted[("mod_sndfile",)][1] is Level.WARNING


@pytest.mark.parametrize(
    ("kind", "module"),
    [
        ("record", "mod_sndfile"),
        ("recording", "mod_sndfile"),
        ("record", "mod_tone_stream"),
        ("transfer", "mod_dialplan_xml"),
    ],
)
def test_kinds_and_their_modules(tmp_path: Path, kind: str, module: str) -> None:
    wanted = wanted_modules(settings(tmp_path), FlowNeeds(kinds=frozenset({kind})))
    assert wanted[(module,)][1] is Level.PROBLEM


def test_a_recogniser_that_is_configured_but_not_used_is_missed_less(tmp_path: Path) -> None:
    flows = {"asr_engine": "unimrcp", "asr_grammar": "yesno"}
    wanted = wanted_modules(settings(tmp_path, flows=flows), FlowNeeds())
    assert wanted[("mod_unimrcp",)][1] is Level.WARNING
