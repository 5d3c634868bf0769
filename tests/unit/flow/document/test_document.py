"""Reading documents: what is a flow, and what is said of what is not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsbridge.flow.document.document import parse
from fsbridge.flow.document.errors import FlowInvalid
from fsbridge.flow.document.model import OUTCOMES, Defaults, FlowBody, Way
from fsbridge.flow.document.source import MAX_BYTES

pytestmark = pytest.mark.unit

GOOD = """\
name: Reminder
voice: slt
variables: {tries: 0}
steps:
  - id: hello
    speak: Hello {{ name }}
  - id: ask
    gather: {variable: answer, max: 2, timeout: 3}
    on: {timeout: bye}
  - id: check
    branch:
      - {when: answer == "1", next: bye}
      - next: ask
  - id: bye
    hangup: NORMAL_CLEARING
"""


def problems(text: str, *, call_variables: bool = True) -> tuple[str, ...]:
    with pytest.raises(FlowInvalid) as caught:
        parse(text, "f.yaml", call_variables=call_variables)
    return caught.value.problems


def test_a_good_document_keeps_its_order_and_has_a_version() -> None:
    document = parse(GOOD)
    assert [step.kind for step in document.body.steps] == ["speak", "gather", "branch", "hangup"]
    assert document.places["bye"] == 3
    assert document.version == parse(GOOD).version
    assert document.version != parse(GOOD + "# another text\n").version


def test_on_is_a_word_and_not_yaml_1_1s_true() -> None:
    assert parse(GOOD).body.steps[1].on == {"timeout": "bye"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "a flow is a mapping with the key steps"),
        ("[1, 2]", "a flow is a mapping"),
        ("foo: 1", "f.yaml:1: steps: is missing"),
        ("steps: []", "f.yaml:1: steps: has 0 entries; it may have at least 1"),
        ("steps: {a: 1}", "steps: must be a list"),
        ("steps: [play]", "step 1: a step is a mapping with an id"),
        ("steps: [{pause: 1}]", "step 1: id: is missing"),
        ("steps: [{id: 1a, pause: 1}]", "step 1a: id: '1a' is not allowed: begins with a letter"),
        ("steps: [{id: a, gathr: {variable: x}}]", "step a: gathr: no such key; did you mean gather?"),
        ("steps: [{id: a, speak: 5}]", "step a: speak: must be text, or a mapping with the key text"),
        ("steps: [{id: a, speak: {voice: slt}}]", "step a: speak.text: is missing"),
        ("steps: [{id: a, set: {1x: 2}}]", "step a: set.1x: '1x' is not allowed"),
        ("steps: [{id: a, branch: []}]", "step a: branch: has 0 entries"),
        (
            f"steps: [{{id: a, branch: [{'{next: a}, ' * 101}]}}]",
            "step a: branch: has 101 entries; it may have at most",
        ),
        ("steps: [{id: abc, pause: 1, next: abd}]", "there is no step 'abd'; did you mean 'abc'?"),
        ("steps: [{id: a, hangup: NORMAL_CLEARNG}]", "no hang-up cause; did you mean NORMAL_CLEARING?"),
        ("steps: [{id: a, hangup: NORMAL_CLEARING, next: a}]", "step a: next: nothing comes after a hangup"),
        ("steps: [{id: a, speak: 'You owe $5 | now'}]", "step a: speak: | cannot be spoken"),
        ("steps: [{id: a, play: 'a b.wav'}]", "step a: play: 'a b.wav' cannot be played"),
        ("steps: [{id: a, gather: {variable: x, prompt: ../a}}]", "step a: gather.prompt: '../a' cannot be played"),
        ("steps: [{id: a, gather: {variable: x, pattern: '[12'}}]", "gather.pattern: is no pattern of digits"),
        ("steps: [{id: a, set: {verdict: x}}]", "step a: set.verdict: 'verdict' is a fact of the call"),
        ("steps: [{id: a, gather: {variable: caller_id}}]", "step a: gather.variable: 'caller_id' is a fact"),
        ("variables: {session_id: x}\nsteps: [{id: a, pause: 1}]", "variables.session_id: is a fact of the call"),
        ("steps: [{id: a, set: {x: 1}, next: a}]", "step a: goes round for ever without doing anything (a)"),
        (
            "steps: [{id: a, set: {x: 1}}, {id: b, branch: [{next: c}]}, {id: c, set: {y: 1}, next: a}]",
            "step a: goes round for ever without doing anything (a, b, c)",
        ),
        ("steps: [{id: a, set: {x: '" + "y" * 8_001 + "'}}]", "step a: set.x: is longer than 8000 characters"),
        ("steps:\n  - {id: a, play: x, speak: y}", "step a: a step has exactly one of"),
        ("steps:\n  - {id: a}", "this one has none"),
        ("steps:\n  - id: a\n    sing: la", "f.yaml:3: step a: sing: no such key"),
        ("steps:\n  - {id: a, pause: -1}", "step a: pause"),
        ("steps:\n  - {id: a, pause: 1, next: b}", "step a: next: there is no step 'b'"),
        ("entry: z\nsteps:\n  - {id: a, pause: 1}", "f.yaml:1: entry: there is no step 'z'"),
        ("steps:\n  - {id: a, pause: 1}\n  - {id: a, pause: 2}", "f.yaml:3: step a: id: 'a' stands twice"),
        ("steps:\n  - {id: a, pause: 1, pause: 2}", "the key 'pause' stands twice"),
        ("steps:\n  - {id: a, hangup: NORMAL_CLEARING}\n  - {id: b, pause: 1}", "step b: is never reached"),
        ("steps:\n  - {id: a, speak: 'Hi {{ name'}", "step a: speak: has {{ or }}"),
        ("steps:\n  - {id: a, branch: [{when: 'x.', next: a}]}", "is no condition"),
        ("steps:\n  - {id: a, branch: [{when: '__import__(1)', next: a}]}", "not allowed in a condition"),
        ("steps:\n  - {id: a, gather: {variable: x, min: 3, max: 2}}", "min (3) is above max (2)"),
        ("steps:\n  - {id: a, gather: {variable: x, pattern: '\\d+ x'}}", "pattern"),
        ("steps:\n  - {id: a, pause: 1, on: {missing: a}}", "pause has no outcome 'missing'"),
        ("steps:\n  - {id: a, hangup: 'x y'}", "hangup"),
        ("a: &a [1]\nb: *a", "aliases"),
        ("a: [", "not YAML"),
        ("[" * 50 + "]" * 50, "nested deeper"),
        ("# " + "x" * MAX_BYTES, "larger than 256 kB"),
        ("steps: !!python/object/apply:os.system [id]", "tags"),
    ],
)
def test_a_bad_document_is_refused_with_words(text: str, expected: str) -> None:
    assert any(expected in problem for problem in problems(text)), problems(text)


def test_every_fault_is_told_at_once() -> None:
    text = "steps:\n  - {id: a, speak: '{{ x', next: b}\n  - {id: c, branch: [{when: '(', next: a}]}"
    assert len(problems(text)) >= 4


def test_undefined_variables_are_found_where_the_call_brings_none() -> None:
    found = problems("steps:\n  - {id: a, speak: 'Hi {{ name }} and {{ verdict }}'}", call_variables=False)
    assert found == ("f.yaml:2: step a: speak: nothing defines name",)


def test_faults_of_shape_and_of_meaning_are_told_together_and_in_order() -> None:
    text = """\
steps:
  - id: a
    pause: 0
  - id: b
    speak: '{{ x'
    next: c
"""
    assert problems(text) == (
        "f.yaml:3: step a: pause: input should be greater than 0",
        "f.yaml:5: step b: speak: has {{ or }} that is no {{ variable }}",
        "f.yaml:6: step b: next: there is no step 'c'",
    )


def test_no_key_steers_a_terminal_and_no_report_goes_on_for_ever() -> None:
    assert problems('"\\e[31m\\nf.yaml:9": 1\nsteps: [{id: a, pause: 1}]') == ("f.yaml:1: ?[31m?f.yaml:9: no such key",)
    many = problems("steps:\n" + "".join(f"  - {{id: s{number}, pause: 0}}\n" for number in range(300)))
    assert len(many) == 101
    assert many[-1] == "f.yaml: and 200 more"


def test_words_of_conditions_are_no_variables() -> None:
    text = "steps:\n  - {id: a, branch: [{when: 'verdict == null or x != true', next: b}]}\n  - {id: b, pause: 1}"
    assert problems(text, call_variables=False) == ("f.yaml:2: step a: branch.0.when: nothing defines x",)


def test_a_prompt_that_leaves_the_prompts_folder_is_refused_when_the_document_is_read() -> None:
    for defaults in (None, Defaults(), Defaults(prompts_dir="/prompts")):
        with pytest.raises(FlowInvalid, match="leaves the prompts folder"):
            parse("steps: [{id: a, play: /etc/passwd}]", defaults=defaults)


CLOSED = Defaults(prompt_hosts=(), bot_hosts=(), ways=(), conference_profiles=("default",))
OPENED = Defaults(
    prompt_hosts=("cdn.example", "127.0.0.1:8080"),
    bot_hosts=("bot.example:9000", "[2001:db8::1]:9000"),
    ways=(Way(context="sales", dialplan="XML", extensions=("100", "2*")),),
    conference_profiles=("default", "wide"),
)


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ("play: 'http://127.0.0.1/a.wav'", "not among prompt_hosts"),
        ("play: 'http://169.254.169.254/latest'", "not among prompt_hosts"),
        ("play: 'https://cdn.example/a.wav'", ""),
        ("play: 'http://CDN.example/a.wav'", ""),
        ("play: 'https://cdn.example:443/a.wav'", ""),
        ("play: 'https://cdn.example:8443/a.wav'", "not among prompt_hosts"),
        ("play: 'https://cdn.example.evil.test/a.wav'", "not among prompt_hosts"),
        ("play: 'http://127.0.0.1:8080/a.wav'", ""),
        ("menu: {choices: {'1': a}, invalid: 'http://evil.test/a.wav'}", "menu.invalid"),
        ("stream: {url: 'wss://bot.example:9000/a'}", ""),
        ("stream: {url: 'wss://[2001:db8::1]:9000/a'}", ""),
        ("stream: {url: 'wss://bot.example/a'}", "not among bot_hosts"),
        ("stream: {url: 'wss://10.0.0.1:9000/'}", "not among bot_hosts"),
        ("transfer: {extension: '100', context: sales}", ""),
        ("transfer: {extension: '{{ e }}', context: sales}", ""),
        ("transfer: {extension: '2999', context: sales}", ""),
        ("transfer: {extension: '1001', context: sales}", "'1001' is closed"),
        ("transfer: {extension: '100'}", "context 'default' is closed"),
        ("transfer: {extension: '100', context: features}", "context 'features' is closed"),
        ("transfer: {extension: '100', context: sales, dialplan: inline}", "of dialplan 'inline' is closed"),
        ("transfer: {extension: '100', context: sales, dialplan: enum}", "is closed"),
        ("conference: {room: r, profile: wide}", ""),
        ("conference: {room: r, profile: other}", "default or wide"),
        ("gather: {variable: x, speech: {grammar: a/../../etc/passwd}}", "leaves the node's folder of grammars"),
    ],
)
def test_what_a_document_may_reach_is_what_the_organization_may(step: str, words: str) -> None:
    text = f"steps: [{{id: a, {step}}}]"
    if words:
        with pytest.raises(FlowInvalid) as refused:
            parse(text, defaults=OPENED)
        assert words in str(refused.value)
        return
    parse(text, defaults=OPENED)
    if "wide" in step or "transfer" in step or "://" in step:
        with pytest.raises(FlowInvalid):
            parse(text, defaults=CLOSED)


def test_any_context_and_any_extension_are_open_where_the_configuration_says_so() -> None:
    every = Defaults(ways=(Way(context="*", dialplan="XML", extensions=("*",)),))
    parse("steps: [{id: a, transfer: {extension: '1', context: anything}}]", defaults=every)
    with pytest.raises(FlowInvalid, match="dialplan 'inline'"):
        parse("steps: [{id: a, transfer: {extension: '1', dialplan: inline}}]", defaults=every)


def test_a_thousand_steps_are_read_in_time_and_one_more_is_refused() -> None:
    text = "steps:\n" + "".join(f"  - {{id: s{number}, pause: 1}}\n" for number in range(1_000))
    assert len(parse(text).body.steps) == 1_000
    assert "at most 1000" in problems(text + "  - {id: more, pause: 1}\n")[0]


def test_the_schema_allows_both_ways_to_speak() -> None:
    schema = FlowBody.model_json_schema()
    assert {"$ref": "#/$defs/Speak"} in schema["$defs"]["Step"]["properties"]["speak"]["anyOf"]
    assert any(way.get("type") == "string" for way in schema["$defs"]["Step"]["properties"]["speak"]["anyOf"])
    assert parse("steps: [{id: a, speak: hi}, {id: b, speak: {text: hi, voice: kal}}]").body.steps[0].speak is not None


@given(st.text(max_size=300))
def test_any_text_is_a_document_or_a_list_of_faults(text: str) -> None:
    found: tuple[str, ...] = ()
    try:
        document = parse(text)
    except FlowInvalid as invalid:
        found = invalid.problems or ("refused without a word",)
    else:
        assert document.body.steps
    assert all(problem.startswith("flow:") for problem in found)


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ("{id: a, menu: {choices: {1: b}}}", "step a: menu.choices.1: there is no step 'b'"),
        ("{id: a, menu: {choices: {12345678901: a}}}", "step a: menu.choices.12345678901: "),
        ("{id: a, menu: {choices: {}}}", "menu.choices: has 0 entries; it may have at least 1"),
        ("{id: a, goto: b}", "step a: goto: there is no step 'b'"),
        ("{id: a, goto: a}", "goes round for ever"),
        ("{id: a, pause: 1}, {id: b, goto: a, next: a}", "step b: next: a goto says itself"),
        ("{id: a, end: {}, next: a}", "step a: next: nothing comes after a end"),
        ("{id: a, end: {cause: NORMAL_CLEARNG}}", "did you mean NORMAL_CLEARING"),
        ("{id: a, transfer: {extension: '1'}}, {id: b, pause: 1}", "step b: is never reached"),
        ("{id: a, request: {url: 'https://{{ h }}/'}}", "step a: request.url: "),
        ("{id: a, request: {url: 'https://h/', variable: verdict}}", "'verdict' is a fact of the call"),
        ("{id: a, request: {url: 'https://h/', body: ['{{ x']}}", "step a: request.body: has {{ or }}"),
        ("{id: a, stream: {url: 'https://h/'}}", "a URL begins with wss:// or ws://"),
        ("{id: a, say: {value: '1', as: poem}}", "step a: say.as: "),
        ("{id: a, wait_for: {beep: true, speech: true}}", "waits for exactly one of"),
        ("{id: a, expect: {beep: true, dtmf: '1'}}", "expects exactly one of"),
        ("{id: a, expect: {audio_like: '../x.wav'}}", "step a: expect.audio_like.file: "),
        ("{id: a, gather: {variable: x, prompt: a.wav, speak: hello}}", "has prompt and speak"),
        ("{id: a, gather: {variable: x, speak: 'a_b'}}", "step a: gather.speak: _ cannot be spoken"),
        ("{id: a, record: {}}", "step a: record: no recordings are kept here"),
        ("{id: a, recording: start}", "step a: recording: no recordings are kept here"),
        ("{id: a, gather: {variable: x, speech: {}}}", "no speech recogniser is configured"),
        ("{id: a, expect: {transcript: yes}}", "no speech recogniser is configured"),
        ("{id: a, send_dtmf: {digits: '1', durations: 3}}", "did you mean duration"),
        ("{id: a, bridge: {to: '+1', timeout: 0}}", "step a: bridge.timeout: "),
        ("{id: a, conference: {room: a}, on: {busy: a}}", "conference has no outcome 'busy'; it has done, failed"),
    ],
)
def test_faults_of_every_kind_of_step_name_their_place(steps: str, expected: str) -> None:
    with pytest.raises(FlowInvalid) as caught:
        parse(f"steps: [{steps}]", "f.yaml", Defaults())
    assert any(expected in problem for problem in caught.value.problems), caught.value.problems


@pytest.mark.parametrize(
    ("steps", "hint"),
    [
        ("{id: a, expect: {dtmf: x}}", "expect.dtmf: 'x' is not allowed: has only digits, * and #"),
        ("{id: a, menu: {choices: {x: a}}}", "is not allowed: 1 to 8 of digits"),
        ("{id: a, set: {1x: 1}}", "is not allowed: begins with a letter and has only letters, digits and _"),
        ("{id: a, bridge: {to: '+1', trunk: 'a b'}}", "bridge.trunk: 'a b' is not allowed: has only letters"),
        ("{id: a, request: {url: 'https://h/', headers: {'a b': c}}}", "is not allowed: a header's name"),
        ("{id: a, say: {value: '1', language: english}}", "is not allowed: two small letters"),
        ("{id: a, pause: 1, on: {done: '1'}}", "on.done: '1' is not allowed: begins with a letter"),
        ("{id: a, hangup: bye}", "hangup: 'bye' is not allowed: a hang-up cause"),
    ],
)
def test_what_a_grammar_refuses_is_told_by_its_own_rule(steps: str, hint: str) -> None:
    found = problems(f"steps: [{steps}]")
    assert any(hint in problem for problem in found), found


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ("entry: {live_person: x}", "f.yaml:1: entry.live_person: there is no step 'x'"),
        ("entry: {somebody: a}", "entry"),
        ("on_hangup: shout", "on_hangup"),
        ("language: english", "language"),
        ("max_duration: 100000", "max_duration"),
    ],
)
def test_faults_of_the_head(head: str, expected: str) -> None:
    assert any(expected in problem for problem in problems(f"{head}\nsteps: [{{id: a, pause: 1}}]"))


def test_entries_without_a_default_leave_other_calls_the_first_step() -> None:
    text = "entry: {live_person: b}\nsteps: [{id: a, hangup: NORMAL_CLEARING}, {id: b, pause: 1}]"
    document = parse(text)
    assert [document.entry(verdict) for verdict in ("live_person", "answering_machine", "")] == [1, 0, 0]


def test_the_readme_tells_every_kind_of_step_with_its_outcomes() -> None:
    text = (Path(__file__).resolve().parents[4] / "fsbridge" / "README.md").read_text(encoding="utf-8")
    rows = {match[1]: match[0] for match in re.finditer(r"^\| `([a-z_]+)[:`].*$", text, re.MULTILINE)}
    for kind, outcomes in OUTCOMES.items():
        told = rows[kind].rstrip("| ").rpartition("|")[2]
        assert [outcome for outcome in outcomes if f"`{outcome}`" not in told] == [], kind
