"""The doctor on flows: what a document names has to be there, and a node has to have what its steps need."""

from __future__ import annotations

from pathlib import Path

import pytest

from fsbridge.doctor.findings import Finding, Level
from fsbridge.doctor.flows import examine_flows
from fsbridge.doctor.needs import FlowNeeds, wanted_modules
from fsbridge.settings.reading import parse
from fsbridge.settings.whole import Settings

pytestmark = pytest.mark.unit

ORG = "22222222-2222-4222-8222-222222222222"
FLOW = "33333333-3333-4333-8333-333333333333"


OPEN = {
    "prompt_hosts": ["prompts.example"],
    "transfer": [{"context": "*", "extensions": ["*"]}],
    "conference_profiles": ["wide"],
}


def settings(folder: Path, *, secrets: dict[str, str] | None = None, **tables: object) -> Settings:
    flows = {"dir": str(folder)}
    return parse(
        {
            "nodes": [{"name": "n"}],
            "trunks": [
                {"name": "main", "gateways": ["g"], "caller_id": "100"},
                {"name": "nobodys", "gateways": ["h"]},
            ],
            "orgs": [{"id": ORG, "name": "A", "secrets": secrets or {}, "flows": OPEN}],
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
        "the step's trunk: main, nobodys",
    ),
    "voice": (
        "  - {id: a, speak: {text: hello, engine: flite, voice: anna}}",
        "flite has no voice 'anna', so nothing would be spoken",
        "awb, kal, kal16, rms, slt",
    ),
    "caller": (
        "  - {id: a, bridge: {to: '+15551234567', trunk: nobodys}}",
        "it would call from nobody",
        "caller_id of the step, of A or of trunk nobodys",
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
    written(tmp_path, "\n".join(steps).replace("elsewhere", "main").replace("nobodys", "main").replace("anna", "SLT"))
    (tmp_path / "audio").mkdir()
    (tmp_path / "audio" / "menu.wav").write_bytes(b"RIFF")
    flows = {"recordings_dir": "/srv/rec", "asr_engine": "vosk", "asr_grammar": "any"}
    assert problems(settings(tmp_path, secrets={"crm": "Bearer x"}, flows=flows)) == []


def test_prompts_from_the_web_have_to_be_allowed(tmp_path: Path) -> None:
    written(tmp_path, "  - {id: a, menu: {prompt: 'https://files.example.com/m.wav', choices: {'1': a}}}")
    assert problems(settings(tmp_path, flows={"prompt_hosts": ["files.example.com"]})) == []
    (found,) = problems(settings(tmp_path))
    assert "not among prompt_hosts" in found.text


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
  - {id: f, conference: {room: r, profile: wide}}
  - {id: g, play: "https://prompts.example/hello.wav"}
  - {id: h, play: "{{ chosen }}"}
  - {id: i, play: "tone_stream://%(200,100,440)"}
  - {id: j, gather: {variable: y, prompt: menu.wav, invalid: no/such.wav}}
  - {id: k, say: {value: "12.50", as: money}}
  - {id: l, transfer: {extension: "1", context: sales}}
""",
    )
    _, needs = examine_flows(settings(tmp_path))
    assert needs == FlowNeeds(
        kinds=frozenset({"speak", "say", "menu", "gather", "conference", "play", "transfer"}),
        engines=frozenset({"flite", "polly"}),
        web_prompts=True,
        sayings=frozenset({("de", "number"), ("en", "number"), ("en", "money")}),
        recognisers=frozenset({"vosk"}),
        files=frozenset({"menu.wav", "no/such.wav"}),
        rooms=frozenset({"wide"}),
        contexts=frozenset({"sales"}),
    )
    wanted = wanted_modules(settings(tmp_path), needs)
    for modules in [("mod_polly",), ("mod_say_de",), ("mod_say_en",), ("mod_vosk", "mod_unimrcp"), ("mod_conference",)]:
        assert wanted[modules][1] is Level.PROBLEM
    assert wanted[("mod_tone_stream",)][1] is Level.PROBLEM
    assert wanted[("mod_sndfile",)][1] is Level.PROBLEM
    assert wanted_modules(settings(tmp_path), FlowNeeds())[("mod_sndfile",)][1] is Level.WARNING


@pytest.mark.parametrize(("name", "module"), [("song.MP3", "mod_shout"), ("/srv/word.pcmu", "mod_native_file")])
def test_files_that_need_another_module(tmp_path: Path, name: str, module: str) -> None:
    wanted = wanted_modules(settings(tmp_path), FlowNeeds(files=frozenset({name})))
    assert wanted[(module,)][1] is Level.PROBLEM


def test_prompts_below_a_folder_of_their_own(tmp_path: Path) -> None:
    written(tmp_path, "  - {id: a, play: welcome.wav}")
    _, needs = examine_flows(settings(tmp_path, flows={"prompts_dir": "/srv/prompts/"}))
    assert needs.files == {"/srv/prompts/welcome.wav"}


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


HTTPS_FLOW = """
engine: polly
steps:
  - {id: a, play: "https://prompts.example/hello.wav"}
  - {id: b, speak: Hello}
  - {id: c, speak: {text: Hello, engine: azure}}
  - {id: d, gather: {variable: digit, prompt: menu.wav}}
"""


def test_flows_are_read_as_the_service_would(tmp_path: Path) -> None:
    folder = tmp_path / ORG
    folder.mkdir()
    (folder / f"{FLOW[:-1]}1.yaml").write_text(HTTPS_FLOW)
    (folder / f"{FLOW[:-1]}2.yaml").write_text("steps: [{id: a, pause: 1, next: b}, {id: c, sing: la}]")
    (folder / f"{FLOW[:-1]}3.yaml").write_bytes(b"\xff")
    (folder / "hello.yaml").write_text("steps: [{id: a, pause: 1}]")
    (folder / "notes.txt").write_text("not a flow")
    orgs = [{"id": ORG, "name": "A", "flows": OPEN}, {"id": ORG[:-1] + "3", "name": "B"}]
    notes, needs = examine_flows(settings(tmp_path, orgs=orgs))
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
    assert needs == FlowNeeds(
        frozenset({"play", "speak", "gather"}),
        frozenset({"polly", "azure"}),
        web_prompts=True,
        files=frozenset({"menu.wav"}),
    )


def test_no_flows_need_nothing(tmp_path: Path) -> None:
    notes, needs = examine_flows(settings(tmp_path / "nowhere", orgs=[]))
    assert (notes.found, needs) == ([], FlowNeeds())
