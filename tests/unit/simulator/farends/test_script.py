"""Far-end scripts as data, and how they are read."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fsbridge.simulator.farends import script
from fsbridge.simulator.farends.book_file import FarEndError, default_book, load_book, parse_book, parse_script
from fsbridge.simulator.farends.dialplan import DEFAULT, PUBLIC, Dialplan
from fsbridge.simulator.farends.script import Answer, Loop, Play, Redirect, Reject, Ring, Tone, Vanish

pytestmark = pytest.mark.unit


def problem(steps: object) -> str:
    with pytest.raises(FarEndError) as caught:
        parse_script("x", "1", steps)
    return str(caught.value)


def test_the_built_in_numbers_are_who_they_should_be() -> None:
    book = default_book()
    names = [getattr(book.find(f"+155501000{n:02}"), "name", "") for n in range(1, 11)]
    assert names == [
        "live_person",
        "answering_machine",
        "fax",
        "busy",
        "rings_out",
        "silence",
        "not_found",
        "unavailable",
        "hangs_up",
        "presses_digits",
    ]
    assert book.find("15550100003") is book.find("+15550100003") is book.find("FAX")
    assert getattr(book.find("+441632960000"), "name", "") == "person"


def test_the_first_entry_that_matches_answers() -> None:
    mine = parse_script("mine", ["+1555*", "bob"], ["busy"])
    book = default_book().with_first(mine)
    assert book.find("15550100001") is mine
    assert book.find("Bob") is mine
    assert book.find("fax") is not mine
    assert parse_book({"far_ends": [{"name": "a", "match": "1", "steps": ["busy"]}]}).find("2") is None


def test_steps_are_read() -> None:
    steps = parse_script(
        "x",
        "1",
        [
            {"ring": 2},
            "answer",
            {"play": ["person-hello.flac", "person-amelia"]},
            {"tone": {"hz": [440, 480], "level": -20}},
            {"loop": {"times": 2, "steps": [{"silence": 0.5}]}},
            {"reject": 486},
            "beep",
            "fax",
            "hangup",
            {"listen": None},
            {"redirect": "+15550100001"},
            "vanish",
        ],
    ).steps
    assert steps[:2] == (Ring(2.0), Answer())
    assert isinstance(steps[2], Play)
    assert [Path(file).name for file in steps[2].files] == ["person-hello.flac", "person-amelia.flac"]
    assert steps[3] == Tone((440.0, 480.0), 1.0, -20.0)
    assert isinstance(steps[4], Loop)
    assert steps[5] == Reject(486)
    assert steps[-2:] == (Redirect("+15550100001"), Vanish())


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ([], "steps: must be a list of at least one step"),
        (["sing"], "steps[0] sing: no such step; known are ring"),
        ([{"ring": 1, "answer": 2}], "steps[0]: must be a word or a mapping with one key"),
        ([{"ring": "long"}], "ring: must be seconds from 0 to 86400"),
        ([{"ring": True}], "ring: must be seconds"),
        ([{"silence": -1}], "silence: must be seconds"),
        ([{"answer": 3}], "answer: takes no value"),
        ([{"play": 3}], "play: must be a file name or a list of them"),
        ([{"play": "nothing.wav"}], "play: nothing.wav: no such file"),
        ([{"dtmf": "1;2"}], "dtmf: must be 1 to 64 of"),
        ([{"wait_dtmf": {}}], "wait_dtmf: needs digits"),
        ([{"wait_dtmf": 3}], "wait_dtmf: must be a mapping of digits, until, seconds"),
        ([{"listen": {"loud": 1}}], "listen.loud: unknown; known are quiet, seconds"),
        ([{"record": {"quiet": "x"}}], "record.quiet: must be seconds"),
        ([{"tone": {"hz": 5000}}], "tone.hz: must be one to four frequencies below 4000"),
        ([{"tone": {"level": 3}}], "tone.level: must be decibels from -90 to 0"),
        ([{"loop": {"times": -1, "steps": ["answer"]}}], "loop.times: must be a whole number"),
        ([{"loop": {"steps": ["answer"]}}], "loop: would turn without time passing"),
        ([{"hangup": "because"}], "hangup: must be a hang-up cause"),
        ([{"reject": 200}], "reject: must be a SIP status from 400 to 699"),
        ([{"redirect": "sip:a@b"}], "redirect: must be a number or SIP user"),
        ([{"vanish": 3}], "vanish: takes no value"),
        ([{"speak": " "}], "speak: must be a text of at most 1000 characters"),
        ([{"speak": "x" * 1001}], "speak: must be a text of at most 1000 characters"),
        ([{"echo": "long"}], "echo: must be seconds"),
        ([{"play": {"file": "person-hello.flac", "text": 3}}], "play.text: must be a text"),
        ([{"menu": {"choices": {}}}], "menu.choices: must be a mapping from digits"),
        ([{"menu": {"choices": {1: ["busy"]}}}], "menu.choices: 1 must be one of 0-9"),
        ([{"menu": {"choices": {"1": ["sing"]}}}], "menu.choices[1][0] sing: no such step"),
        ([{"menu": {"choices": {"1": ["busy"]}, "times": 0}}], "menu.times: must be a whole number from 1 to 100"),
        ([{"menu": {"choices": {"1": ["busy"]}, "prompt": "x"}}], "menu.prompt: must be a list of at least one step"),
        ([{"menu": {"choices": {"1": ["busy"]}, "otherwise": 3}}], "menu.otherwise: must be a list"),
    ],
)
def test_a_wrong_step_is_named_with_its_place(steps: object, words: str) -> None:
    assert words in problem(steps)


@pytest.mark.parametrize(
    "inner",
    [{"dtmf": "1"}, {"wait_dtmf": {"digits": 1}}, {"listen": {}}, {"record": {}}, {"play": "person-hello.flac"},
     {"fax": 1}, {"loop": {"times": 2, "steps": [{"tone": {}}]}}, "never_answer",
     {"speak": "hello"}, {"echo": 1}, {"menu": {"choices": {"1": ["busy"]}}}],
)  # fmt: skip
def test_loops_in_which_time_passes_are_fine(inner: object) -> None:
    assert parse_script("x", "1", [{"loop": {"steps": ["answer", inner]}}]).steps


FINE = {"far_ends": [{"name": "x", "match": "1", "steps": ["busy"]}]}


def test_numbers_that_lead_into_the_dialplan_are_read_and_come_before_those_of_a_later_book() -> None:
    inbound = [
        {"match": "+1999*", "set": {"fsbridge_inbound": "support"}, "run": [{"playback": "a.wav"}, {"answer": None}]},
        {"match": ["1", "2"]},
        {"match": "hello", "run": ["park"], "context": "default"},
    ]
    book = parse_book({**FINE, "inbound": inbound})
    plan = Dialplan(book.extensions)
    support = plan.find("19991", PUBLIC)
    assert support is not None
    assert support.actions == (("set", "fsbridge_inbound=support"), ("playback", "a.wav"), ("answer", ""))
    assert plan.actions("2", "XML", PUBLIC) == (("park", ""),)
    assert plan.actions("hello", "XML", DEFAULT) == (("park", ""),)
    assert plan.actions("hello", "XML", PUBLIC) == plan.actions("hello", "enum", DEFAULT) == ()
    both = default_book().with_book(book)
    assert both.extensions[: len(book.extensions)] == book.extensions
    assert both.entries[0].name == "x"
    assert len(default_book().with_first(*book.entries).extensions) == len(default_book().extensions) > 0


@given(st.text("abp:,+ ", max_size=30))
def test_an_inline_dialplan_is_its_applications(text: str) -> None:
    actions = Dialplan().actions(text, "inline", "")
    assert ",".join(f"{name}:{argument}" if argument else name for name, argument in actions) == ",".join(
        part.removesuffix(":") if part.count(":") == 1 else part for part in text.split(",") if part
    )


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (None, "must be a mapping with the key far_ends"),
        ({"far_ends": []}, "far_ends: must be a list of at least one far end"),
        ({"far_ends": [3]}, "far_ends[0]: must be a mapping with name, match and steps"),
        ({"far_ends": [{"name": "", "match": "1", "steps": ["busy"]}]}, "far_ends[0].name: must be a text"),
        ({"far_ends": [{"name": "x", "match": 155, "steps": ["busy"]}]}, "far_ends[0] (x).match: must be a number"),
        ({"far_ends": [{"name": "x", "match": "1", "steps": ["busy"], "colour": 1}]}, "far_ends[0].colour: unknown"),
        ({**FINE, "callers": 3}, "callers: must be a list of callers"),
        ({**FINE, "callers": [3]}, "callers[0]: must be a mapping of to, from, after, every, steps"),
        ({**FINE, "callers": [{"to": 1999, "steps": ["answer"]}]}, "callers[0].to: must be a number, in quotes"),
        ({**FINE, "callers": [{"to": "1", "steps": []}]}, "callers[0].steps: must be a list of at least one step"),
        ({**FINE, "callers": [{"to": "1", "after": -1, "steps": ["answer"]}]}, "callers[0].after: must be seconds"),
        ({**FINE, "inbound": 3}, "inbound: must be a list of extensions"),
        ({**FINE, "inbound": [3]}, "inbound[0]: must be a mapping of match, set, run, context"),
        ({**FINE, "inbound": [{"match": 1999}]}, "inbound[0].match: must be a number, SIP user or pattern"),
        ({**FINE, "inbound": [{"match": "1", "flow": "x"}]}, "inbound[0].flow: unknown; known are match, set"),
        ({**FINE, "inbound": [{"match": "1", "context": "x"}]}, "inbound[0].context: must be public"),
        ({**FINE, "inbound": [{"match": "1", "set": 3}]}, "inbound[0].set: must be a mapping"),
        ({**FINE, "inbound": [{"match": "1", "set": {"a b": 1}}]}, "inbound[0].set: 'a b' is no variable's name"),
        ({**FINE, "inbound": [{"match": "1", "run": "park"}]}, "inbound[0].run: must be a list of applications"),
        ({**FINE, "inbound": [{"match": "1", "run": [3]}]}, "inbound[0].run[0]: must be an application"),
    ],
)
def test_a_wrong_document_is_named_with_its_place(document: object, words: str) -> None:
    with pytest.raises(FarEndError) as caught:
        parse_book(document)
    assert words in str(caught.value)


def test_every_fault_of_a_file_is_told_at_once(tmp_path: Path) -> None:
    file = tmp_path / "ends.yaml"
    file.write_text("far_ends: [{name: a, match: '1', steps: [sing, {ring: x}]}]", encoding="utf-8")
    with pytest.raises(FarEndError) as caught:
        load_book(file)
    assert len(caught.value.problems) == 2
    file.write_text("far_ends: [", encoding="utf-8")
    with pytest.raises(FarEndError, match="is not YAML"):
        load_book(file)
    with pytest.raises(FarEndError, match="cannot be read"):
        load_book(tmp_path / "none.yaml")


def test_sounds_beside_a_file_are_found(tmp_path: Path) -> None:
    from fsbridge.simulator.audio import sound

    sound.write_wav(str(tmp_path / "mine.wav"), b"\x01\x02" * 80)
    file = tmp_path / "ends.yaml"
    file.write_text("far_ends: [{name: a, match: '*', steps: [answer, {play: mine}]}]", encoding="utf-8")
    step = load_book(file).entries[0].steps[1]
    assert step == Play((str(tmp_path / "mine.wav"),))


def test_the_example_of_the_readme_is_read() -> None:
    text = (Path(script.__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    book = parse_book(yaml.safe_load(text.partition("```yaml")[2].partition("```")[0]))
    assert book.find("+15550177") == book.entries[0]
    assert [(caller.to, caller.after, caller.every) for caller in book.callers] == [("+1999", 5.0, 60.0)]
    assert Dialplan(book.extensions).find("+19991", PUBLIC) is not None
