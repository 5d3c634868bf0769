"""Every kind of step: what it asks of the channel, and what each answer comes to."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsbridge.flow.document.document import parse
from fsbridge.flow.document.errors import FlowInvalid
from fsbridge.flow.document.model import Defaults
from fsbridge.flow.interpreter.actions import (
    Dial,
    Execute,
    Executed,
    Fetch,
    Fetched,
    FlowOutcome,
    Heard,
    Listen,
    OpenStream,
    Refused,
    Result,
    Streamed,
    StreamEnd,
    Tell,
    TimedOut,
    Told,
    Unavailable,
)
from fsbridge.flow.interpreter.interpreter import Facts, Turn, out_of_time, resume, start
from fsbridge.flow.interpreter.plan import DIGITS_VARIABLE

pytestmark = pytest.mark.unit

SESSION = "11111111-1111-4111-8111-111111111111"
ORG = "22222222-2222-4222-8222-222222222222"
FACTS = Facts(SESSION, "+15550100001", "+15550100100", "live_person", ORG)
DEFAULTS = Defaults(
    prompts_dir="/prompts", recordings_dir="/rec", recordings_url="https://files.example/r", asr_engine="pocketsphinx",
    asr_grammar="yesno",
)  # fmt: skip
DONE = Executed("_none_")


def begin(steps: str, variables: dict[str, Any] | None = None, facts: Facts = FACTS, head: str = "") -> Turn:
    return start(parse(f"{head}\nsteps:\n{steps}", defaults=DEFAULTS), variables or {}, facts)


def asked(turn: Turn) -> tuple[str, str]:
    assert isinstance(turn.action, Execute), turn
    return turn.action.app, turn.action.arg


def broke(turn: Turn) -> str:
    assert turn.end is not None
    assert turn.end.outcome is FlowOutcome.BROKE
    return turn.end.reason


def pressed(digits: str) -> Executed:
    return Executed("_none_", {DIGITS_VARIABLE: digits, "read_result": "success"})


NOTHING_PRESSED = Executed("_none_", {"read_result": "timeout"})


@pytest.mark.parametrize(
    ("say", "arg"),
    [
        ("{value: '{{ n }}'}", "en NUMBER pronounced 42"),
        ("{value: '42', as: digits, language: de}", "de NUMBER iterated 42"),
        ("{value: '12.50', as: money}", "en CURRENCY pronounced 12.50"),
        ("{value: '2026-11-23', as: date}", "en CURRENT_DATE pronounced 1795391999"),
        ("{value: '2026-11-23T14:30+01:00', as: time}", "en CURRENT_TIME pronounced 1795444199"),
        ("{value: Ab12, as: spelled}", "en NAME_SPELLED pronounced Ab12"),
    ],
)
def test_say_as_recorded_in_flow_say_speak_record(say: str, arg: str) -> None:
    turn = begin(f"  - {{id: a, say: {say}}}", {"n": 42})
    zone = " timezone=1" if "CURRENT" in arg else ""
    assert asked(turn) == ("multiset", f"playback_ms=none{zone}")
    assert asked(resume(turn.state, DONE)) == ("say", arg)


SAYS = "  - {id: a, say: {value: '1234'}, on: {unavailable: b}}\n  - {id: b, hangup: USER_BUSY}"
SPEAKS = "  - {id: a, speak: Hello, on: {unavailable: b}}\n  - {id: b, hangup: USER_BUSY}"


@pytest.mark.parametrize(
    ("milliseconds", "outcome"), [("2458", "done"), ("none", "unavailable"), (None, "unavailable")]
)
def test_what_was_not_said_has_an_outcome_of_its_own(milliseconds: str | None, outcome: str) -> None:
    turn = resume(begin(SAYS).state, DONE)
    left = {"playback_ms": milliseconds} if milliseconds is not None else {}
    assert resume(turn.state, Executed("_none_", left)).left[0].outcome == outcome


@pytest.mark.parametrize(
    ("took_s", "cut", "outcome"),
    [(1.03, False, "done"), (0.022, False, "unavailable"), (0.09, False, "unavailable"), (0.022, True, "done")],
)
def test_what_was_not_spoken_has_an_outcome_of_its_own(took_s: float, cut: bool, outcome: str) -> None:
    spoken = Executed("_none_", {}, "flite|slt|Hello", took_s, cut=cut)
    turn = begin(SPEAKS)
    assert asked(turn) == ("multiset", "tts_engine=flite tts_voice=slt")
    assert resume(resume(turn.state, DONE).state, spoken).left[0].outcome == outcome


def test_what_a_node_has_not_is_unavailable_where_there_is_such_an_outcome() -> None:
    assert resume(begin(SPEAKS).state, Unavailable("mod_x is not loaded")).left[0].outcome == "unavailable"
    assert "mod_x" in broke(resume(begin("  - {id: a, play: a.wav}").state, Unavailable("mod_x is not loaded")))


@pytest.mark.parametrize("value", ["12,5", "x y", "${x}", "", "9" * 40])
def test_what_cannot_be_said_that_way_breaks_the_flow_in_words(value: str) -> None:
    turn = begin("  - {id: a, say: {value: '{{ v }}', as: money}}", {"v": value})
    assert "not allowed as a value said as money" in broke(turn)


def test_a_spoken_prompt_can_be_talked_over_in_no_trace() -> None:
    turn = begin("  - {id: a, gather: {variable: x, speak: 'Press: one, or it''s off', min: 1, max: 4}}")
    assert asked(turn) == ("multiset", "tts_engine=flite tts_voice=slt")
    turn = resume(turn.state, DONE)
    said = "'say:Press one, or it\N{RIGHT SINGLE QUOTATION MARK}s off'"
    rest = f"1 4 1 5000 # {said} silence_stream://250 {DIGITS_VARIABLE} ^[0-9*#]+$ 2000"
    assert asked(turn) == ("play_and_get_digits", rest)


def test_digits_that_a_pause_ended_are_an_answer() -> None:
    turn = begin("  - {id: a, gather: {variable: x, min: 2, max: 4}}\n  - {id: b, pause: 1}")
    after = resume(turn.state, Executed("_none_", {DIGITS_VARIABLE: "42", "read_result": "timeout"}))
    assert [(left.outcome, left.detail) for left in after.left] == [("done", "42")]
    after = resume(turn.state, Executed("_none_", {DIGITS_VARIABLE: "4", "read_result": "failure"}))
    assert after.left[0].outcome == "timeout"


def test_secret_digits_stand_in_no_trail() -> None:
    turn = begin("  - {id: pin, gather: {variable: pin, max: 4, secret: true}}\n  - {id: b, pause: 1}")
    turn = resume(turn.state, pressed("1234"))
    assert turn.state.variables["pin"] == "1234"
    assert [(left.outcome, left.detail) for left in turn.left] == [("done", "****")]


MENU = """
  - id: ask
    menu: {prompt: menu.wav, choices: {1: yes, "2": no, "*9": no}, variable: chosen, retries: 2}
    on: {timeout: no}
  - {id: yes, end: {result: {answer: '{{ chosen }}'}}}
  - {id: no, hangup: NORMAL_CLEARING}
"""


def test_a_menu_leads_where_the_digits_say() -> None:
    turn = begin(MENU)
    app, arg = asked(turn)
    assert app == "play_and_get_digits"
    assert arg == f"1 2 3 5000 # /prompts/menu.wav silence_stream://250 {DIGITS_VARIABLE} ^(1|2|[*]9)$ 2000"
    ended = resume(turn.state, pressed("1")).end
    assert ended is not None
    assert ended.result == {"answer": "1"}


@pytest.mark.parametrize("answer", [NOTHING_PRESSED, pressed("3"), pressed("12")])
def test_a_menu_without_a_choice_times_out(answer: Result) -> None:
    turn = resume(begin(MENU).state, answer)
    assert turn.end is not None
    assert turn.end.step == "no"


def test_speech_is_recognised_by_the_node_in_no_trace() -> None:
    turn = begin("  - {id: a, gather: {variable: said, prompt: q.wav, speech: {}}}\n  - {id: b, pause: 1}")
    arg = "/prompts/q.wav detect:pocketsphinx {no-input-timeout=5000,start-input-timers=false}yesno"
    assert asked(turn) == ("play_and_detect_speech", arg)
    nlsml = '<interpretation><input mode="speech">yes please</input></interpretation>'
    for result in ("yes please", '{"text": "yes please"}', nlsml):
        after = resume(turn.state, Executed("_none_", {"detect_speech_result": result}))
        assert after.state.variables["said"] == "yes please"
    assert resume(turn.state, DONE).left[0].outcome == "timeout"
    assert resume(turn.state, Executed("DONE", {})).left[0].outcome == "timeout"
    keyed = Executed("DONE", {"detect_speech_result": "DIGIT: 5"})
    assert resume(turn.state, keyed).state.variables["said"] == "5"
    silent = Executed("DONE", {"detect_speech_result": "Completion-Cause: 002"})
    assert resume(turn.state, silent).left[0].outcome == "timeout"


@pytest.mark.parametrize("response", ["USAGE ERROR", "GRAMMAR ERROR", "ASR INIT ERROR", "ERROR"])
def test_a_recogniser_that_does_not_work_is_no_silence(response: str) -> None:
    steps = "  - {id: a, gather: {variable: said, speech: {}}, on: {failed: c}}\n  - {id: b, pause: 1}"
    turn = begin(steps + "\n  - {id: c, pause: 2}")
    after = resume(turn.state, Executed(response, {}))
    assert after.left[0].outcome == "failed"
    assert response in after.left[0].detail


def test_a_prompt_that_could_not_be_played_is_no_silence() -> None:
    turn = begin("  - {id: a, gather: {variable: x, prompt: gone.wav}, on: {failed: b}}\n  - {id: b, pause: 1}")
    after = resume(turn.state, DONE)
    assert after.left[0].outcome == "failed"
    assert "prompt" in after.left[0].detail


@pytest.mark.parametrize(("words", "outcome"), [("your balance is ten", "done"), ("goodbye", "failed"), ("", "failed")])
def test_words_are_expected_of_a_recogniser_in_no_trace(words: str, outcome: str) -> None:
    turn = begin(
        "  - {id: a, expect: {transcript: 'balance is \\w+', timeout: 5}, on: {failed: b}}\n  - {id: b, pause: 1}"
    )
    rest = "silence_stream://250 detect:pocketsphinx {no-input-timeout=5000,start-input-timers=false}yesno"
    assert asked(turn) == ("play_and_detect_speech", rest)
    turn = resume(turn.state, Executed("_none_", {"detect_speech_result": words}))
    assert turn.left[0].outcome == outcome
    assert repr(words) in turn.left[0].detail or words in turn.left[0].detail


@pytest.mark.parametrize("pattern", [r"(a)\1", "(", "(a{0,30}){0,30}"])
def test_a_pattern_that_could_hold_everything_up_is_refused(pattern: str) -> None:
    with pytest.raises(FlowInvalid, match=r"expect\.transcript"):
        parse(f"steps: [{{id: a, expect: {{transcript: '{pattern}'}}}}]")


RECORD = "  - {id: r, record: {max: 20, silence: 2, variable: memo}, on: {empty: e}}\n  - {id: e, pause: 1}"


def recorded(milliseconds: str, **left: str) -> Turn:
    turn = begin(RECORD)
    assert asked(turn) == (
        "multiset", "playback_terminators=# record_ms=none record_samples=none record_file_size=none",
    )  # fmt: skip
    turn = resume(turn.state, DONE)
    assert asked(turn)[0] == "playback"
    turn = resume(turn.state, DONE)
    assert asked(turn) == ("record", f"/rec/{SESSION}-999-r.wav 20 200 2")
    return resume(turn.state, Executed("_none_", {"record_ms": milliseconds, **left}))


def test_a_recording_has_its_url_and_its_length() -> None:
    turn = recorded("1880")
    assert turn.state.variables["memo"] == f"https://files.example/r/{SESSION}-999-r.wav"
    assert turn.state.variables["memo_ms"] == 1880


def test_a_recording_of_nothing_is_empty_and_one_that_failed_breaks() -> None:
    assert recorded("40").left[0].outcome == "empty"
    assert "disk" in broke(recorded("none"))


def test_the_whole_call_is_recorded_into_one_file() -> None:
    turn = begin(WHOLE)
    assert asked(turn)[1].startswith("record_completion_cause=none ")
    turn = resume(turn.state, DONE)
    assert asked(turn) == ("record_session", f"/rec/{SESSION}-call.wav")
    turn = resume(turn.state, DONE)
    assert turn.state.variables["call_recording"] == f"https://files.example/r/{SESSION}-call.wav"
    assert asked(turn)[1].startswith("record_completion_cause=none ")
    assert asked(resume(turn.state, DONE)) == ("stop_record_session", f"/rec/{SESSION}-call.wav")


WHOLE = (
    "  - {id: a, recording: start, on: {failed: c}}\n  - {id: b, recording: off, on: {failed: c}}\n"
    "  - {id: c, pause: 1}"
)


def test_a_recording_that_did_not_begin_has_no_url() -> None:
    turn = resume(begin(WHOLE).state, DONE)
    turn = resume(turn.state, Executed("_none_", {"record_completion_cause": "uri-failure"}))
    assert (turn.left[0].outcome, turn.state.variables["call_recording"]) == ("failed", "")
    assert "uri-failure" in turn.left[0].detail


@pytest.mark.parametrize(
    ("cause", "samples", "size", "outcome", "detail"),
    [
        ("success-maxtime", "16160", "32364", "done", "call.wav"),
        ("success-maxtime", "40160", "49152", "failed", "49152 bytes"),
        ("success-maxtime", "40160", "4096", "failed", "4096 bytes"),
        ("uri-failure", "40160", "49152", "failed", "uri-failure"),
        ("none", "none", "none", "done", "nothing was being recorded"),
        ("success-maxtime", "x", "", "done", "call.wav"),
    ],
)
def test_the_end_of_a_recording_is_what_the_switch_says_of_it(
    cause: str, samples: str, size: str, outcome: str, detail: str
) -> None:
    turn = begin(WHOLE)
    for _ in range(3):
        turn = resume(turn.state, DONE)
    left = {"record_completion_cause": cause, "record_samples": samples, "record_file_size": size}
    ended = resume(turn.state, Executed("_none_", left))
    assert ended.left[0].outcome == outcome
    assert detail in ended.left[0].detail


def test_a_recording_that_a_full_disk_has_cut_short_is_none() -> None:
    assert "49152 bytes" in broke(recorded("4100", record_samples="32800", record_file_size="49152"))
    assert recorded("3880", record_samples="31040", record_file_size="62124").state.variables["memo_ms"] == 3_880


@pytest.mark.parametrize(
    ("step", "arg"),
    [
        ("pause: 0.0001", "silence_stream://1"),
        ("gather: {variable: x, timeout: 0.0001, digit_timeout: 0.0004}", "1 1 1 1 # "),
        ("gather: {variable: x, timeout: 0.0001, digit_timeout: 0.0004}", "$ 1"),
        ("gather: {variable: x, timeout: 0.0001, speech: {}}", "no-input-timeout=1,"),
        ("expect: {transcript: a, timeout: 0.0001}", "no-input-timeout=1,"),
    ],
)
def test_next_to_no_time_is_not_for_ever(step: str, arg: str) -> None:
    assert arg in asked(begin(f"  - {{id: a, {step}}}"))[1]


def test_next_to_no_time_is_not_for_ever_where_others_follow() -> None:
    turn = begin("  - {id: r, record: {max: 0.2, silence: 0.2, beep: false}}")
    assert asked(resume(turn.state, DONE))[1].endswith(".wav 1 200 1")
    turn = begin("  - {id: a, wait_for: {silence: 0.0001}}")
    assert isinstance(turn.action, Listen)
    assert turn.action.expectation.silence == 1


def test_waiting_for_something_to_be_heard() -> None:
    turn = begin("  - {id: a, wait_for: {silence: 1.5, timeout: 20}, on: {timeout: c}}\n  - {id: b, end: {}}"
                 "\n  - {id: c, hangup: USER_BUSY}")  # fmt: skip
    assert isinstance(turn.action, Listen)
    assert turn.action.expectation.silence == 1500
    assert turn.action.deadline_s == 20
    assert turn.state.document.listens
    heard, missed = resume(turn.state, Heard("silence", 4200)), resume(turn.state, TimedOut("speech"))
    assert heard.end is not None
    assert heard.end.step == "b"
    assert missed.end is not None
    assert missed.end.step == "c"


def test_an_expectation_that_fails_breaks_the_flow_with_what_was_heard() -> None:
    turn = begin("  - {id: a, expect: {beep: true, timeout: 5}}")
    assert isinstance(turn.action, Listen)
    assert broke(resume(turn.state, TimedOut("no beep within 5 s"))) == "expect failed: no beep within 5 s"
    assert turn.state.document.fails_at_hangup


def test_digits_need_no_ears() -> None:
    assert not parse("steps: [{id: a, wait_for: {dtmf: '12'}}, {id: b, expect: {dtmf: '1'}}]").listens


REQUEST = """
  - id: ask
    request:
      url: https://crm.example/customers/{{ id }}?lang={{ lang }}
      headers: {X-Trace: '{{ session_id }}', Authorization: {secret: crm}}
      body: {who: '{{ destination }}', tags: ['{{ lang }}', 1], nested: '{{ data }}'}
      retries: 2
      timeout: 4
      variable: crm
    on: {refused: no}
  - {id: check, branch: [{when: crm.body.vip == true, next: no}]}
  - {id: yes, hangup: NORMAL_CLEARING}
  - {id: no, hangup: USER_BUSY}
"""


def test_a_request_carries_data_inside_their_places() -> None:
    turn = begin(REQUEST, {"id": "a/../b?x=1", "lang": "de&x", "data": {"deep": [1, None]}})
    fetch = turn.action
    assert isinstance(fetch, Fetch)
    assert fetch.url == "https://crm.example/customers/a%2F..%2Fb%3Fx%3D1?lang=de%26x"
    assert fetch.headers == {"X-Trace": SESSION}
    assert fetch.secret_headers == {"Authorization": "crm"}
    assert fetch.body == {"who": "+15550100001", "tags": ["de&x", 1], "nested": {"deep": [1, None]}}
    assert (fetch.retries, fetch.deadline_s) == (2, 4)


@pytest.mark.parametrize(
    ("result", "step"),
    [(Fetched(200, {"vip": True}), "no"), (Fetched(200, {"vip": False}), "yes"), (Fetched(404, ""), "no")],
)
def test_what_the_customers_system_says_decides(result: Result, step: str) -> None:
    turn = resume(begin(REQUEST, {"id": "1", "lang": "en", "data": 1}).state, result)
    assert turn.end is not None
    assert turn.end.step == step


@pytest.mark.parametrize("result", [Fetched(503, ""), Refused("10.0.0.1 is a private address"), TimedOut()])
def test_a_request_that_fails_breaks_the_flow(result: Result) -> None:
    assert broke(resume(begin(REQUEST, {"id": "1", "lang": "en", "data": 1}).state, result)).startswith(
        "request failed"
    )


@pytest.mark.parametrize(
    "url",
    [
        "https://{{ host }}/x",
        "ftp://a.example/",
        "https://user:pw@a.example/",
        "https:///x",
        "https://a.example:{{ p }}/",
    ],
)
def test_a_url_whose_host_is_not_the_documents_own_is_refused(url: str) -> None:
    with pytest.raises(FlowInvalid, match=r"request\.url"):
        parse(f"steps: [{{id: a, request: {{url: '{url}'}}}}]")


BRIDGE = """
  - {id: talk, bridge: {to: '{{ agent }}', caller_id: '{{ caller_id }}', timeout: 20, max: 600}, on: {busy: sorry}}
  - {id: bye, hangup: NORMAL_CLEARING}
  - {id: sorry, end: {result: busy}}
"""


@pytest.mark.parametrize(
    ("disposition", "step"),
    [("SUCCESS", "bye"), ("USER_BUSY", "sorry"), ("NO_ANSWER", "bye"), ("CALL_REJECTED", "sorry")],
)
def test_a_bridge_leaves_the_channel_to_the_flow_as_recorded_in_flow_bridge_and_transfer(
    disposition: str, step: str
) -> None:
    turn = begin(BRIDGE, {"agent": "+15550100777"})
    assert asked(turn) == ("multiset", "continue_on_fail=true hangup_after_bridge=false ignore_early_media=true")
    turn = resume(turn.state, DONE)
    assert turn.action == Dial("+15550100777", None, "+15550100100", 20, 600, 625)
    turn = resume(turn.state, Executed("_none_", {"originate_disposition": disposition}))
    assert turn.end is not None
    assert turn.end.step == step


def test_a_bridge_to_nowhere_breaks_the_flow() -> None:
    turn = resume(begin(BRIDGE, {"agent": "+15550100777"}).state, DONE)
    reached = resume(turn.state, Executed("_none_", {"originate_disposition": "call accepted"}))
    assert reached.left[0].outcome == "done"
    bad = resume(turn.state, Executed("_none_", {"originate_disposition": "INVALID_GATEWAY"}))
    assert broke(bad) == "bridge failed: INVALID_GATEWAY"


def test_a_transfer_is_the_end_and_the_channel_lives_on() -> None:
    turn = begin("  - {id: a, transfer: {extension: '{{ e }}', context: internal}}", {"e": "1000"})
    assert asked(turn) == ("transfer", "1000 XML internal")
    end = resume(turn.state, DONE).end
    assert end is not None
    assert end.outcome is FlowOutcome.LEFT
    assert broke(resume(turn.state, Refused("no such channel"))) == "transfer failed: no such channel"


def test_a_room_is_the_organizations_own() -> None:
    turn = begin("  - {id: a, conference: {room: 'team-{{ n }}'}}", {"n": 7})
    assert asked(turn) == ("conference", f"{ORG}-team-7@default")
    other = replace(FACTS, org_id=ORG[:8] + "-0000-4000-8000-000000000000")
    assert asked(begin("  - {id: a, conference: {room: 'team-{{ n }}'}}", {"n": 7}, other)) != asked(turn)


@pytest.mark.parametrize(
    ("step", "result"),
    [
        ("conference: {room: x, max: 60}", Executed("_none_", bounded=True)),
        (
            "bridge: {to: '+15550100777', max: 60}",
            Executed("_none_", {"originate_disposition": "SUCCESS"}, bounded=True),
        ),
        ("stream: {url: 'wss://bot.example/', max: 60}", Streamed(StreamEnd.BOUND)),
    ],
)
def test_the_bound_of_a_step_is_no_fault(step: str, result: Result) -> None:
    turn = begin(f"  - {{id: a, {step}}}\n  - {{id: b, pause: 1}}")
    while turn.action is not None and isinstance(turn.action, Execute) and turn.action.app == "multiset":
        turn = resume(turn.state, DONE)
    turn = resume(turn.state, result)
    assert (turn.left[0].outcome, turn.left[0].detail) == ("done", "ended after its max of 60 s")


def test_a_bridge_that_rings_past_every_bound_was_not_answered() -> None:
    turn = resume(begin(BRIDGE, {"agent": "+15550100777"}).state, DONE)
    assert (
        resume(turn.state, Executed("_none_", {"originate_disposition": "ORIGINATOR_CANCEL"}, bounded=True))
        .left[0]
        .outcome
        == "no_answer"
    )


def test_digits_are_sent_with_their_length() -> None:
    assert asked(begin("  - {id: a, send_dtmf: '12#'}")) == ("send_dtmf", "12#@200")
    assert "not allowed as digits" in broke(begin("  - {id: a, send_dtmf: '{{ d }}'}", {"d": "1;2"}))


STREAM = """
  - id: bot
    stream: {url: 'wss://bot.example/a', metadata: {who: '{{ destination }}'}}
    on: {bot_gone: alone}
  - {id: bye, end: {result: '{{ mood }}'}}
  - {id: alone, hangup: NORMAL_CLEARING}
"""


def test_a_voice_bot_takes_part_and_leaves_what_it_found_out() -> None:
    turn = begin(STREAM)
    assert isinstance(turn.action, OpenStream)
    assert turn.action.metadata == {"who": "+15550100001"}
    done = resume(turn.state, Streamed(StreamEnd.DONE, {"mood": {"good": 1}})).end
    assert done is not None
    assert done.result == {"good": 1}
    gone = resume(turn.state, Streamed(StreamEnd.GONE)).end
    assert gone is not None
    assert gone.step == "alone"
    hung_up = resume(turn.state, Streamed(StreamEnd.DONE, hangup="USER_BUSY")).end
    assert hung_up is not None
    assert (hung_up.outcome, hung_up.cause) == (FlowOutcome.FINISHED, "USER_BUSY")
    left = resume(turn.state, Streamed(StreamEnd.DONE, transfer="100")).end
    assert left is not None
    assert left.outcome is FlowOutcome.LEFT


def test_a_notice_on_the_way() -> None:
    turn = begin("  - {id: a, notify: {name: asked, data: {n: '{{ n }}'}}}", {"n": 3})
    assert turn.action == Tell("asked", {"n": 3})
    assert resume(turn.state, Told()).end is not None
    assert broke(resume(turn.state, Refused("no address"))) == "notify failed: no address"


ENTRIES = "entry: {live_person: p, answering_machine: m, default: d}"
THREE = "  - {id: p, hangup: USER_BUSY}\n  - {id: m, hangup: NO_ANSWER}\n  - {id: d, hangup: NORMAL_CLEARING}"


@pytest.mark.parametrize(
    ("verdict", "answerer", "step"),
    [
        ("answering_machine", "call_screening", "s"),
        ("answering_machine", "menu", "m"),
        ("answering_machine", "", "m"),
        ("live_person", "business", "d"),
        ("fax", "fax", "d"),
    ],
)
def test_a_closer_word_goes_before_the_verdict(verdict: str, answerer: str, step: str) -> None:
    steps = "  - {id: m, hangup: NO_ANSWER}\n  - {id: s, hangup: USER_BUSY}\n  - {id: d, hangup: NORMAL_CLEARING}"
    head = "entry: {answering_machine: m, call_screening: s, default: d}"
    turn = begin(steps, facts=Facts(SESSION, "+1", "+1", verdict, answerer=answerer), head=head)
    assert turn.end is not None
    assert turn.end.step == step


@pytest.mark.parametrize(
    ("verdict", "step"), [("live_person", "p"), ("answering_machine", "m"), ("unknown", "d"), ("", "d"), ("fax", "d")]
)
def test_who_answered_decides_where_the_flow_begins(verdict: str, step: str) -> None:
    turn = begin(THREE, facts=Facts(SESSION, "+1", "+1", verdict), head=ENTRIES)
    assert turn.end is not None
    assert turn.end.step == step


def test_a_goto_in_a_circle_ends_by_its_budget() -> None:
    turn = begin("  - {id: a, pause: 1}\n  - {id: b, goto: a}")
    for _ in range(1_000):
        if turn.end is not None:
            break
        turn = resume(turn.state, DONE)
    assert "circle" in broke(turn)


def test_a_run_may_not_take_for_ever() -> None:
    turn = begin("  - {id: a, pause: 200}", head="max_duration: 60")
    assert broke(out_of_time(turn.state)) == "the flow took longer than its max_duration of 60 s"


@given(
    st.sampled_from([MENU, RECORD, REQUEST, BRIDGE, STREAM]),
    st.lists(
        st.sampled_from([
            DONE, pressed("1"), NOTHING_PRESSED, Executed("PLAYBACK ERROR"), Refused("x"), TimedOut(), Told(),
            Heard("beep"), Fetched(200, {}), Fetched(500, None), Streamed(StreamEnd.GONE),
        ]),
        max_size=12,
    ),
)  # fmt: skip
def test_any_answers_give_the_same_actions_again_and_nothing_after_the_end(steps: str, answers: list[Result]) -> None:
    known = {"id": "1", "lang": "en", "data": 1, "agent": "+15550100777", "mood": 1}
    first, again = begin(steps, known), begin(steps, known)
    for answer in answers:
        assert (first.action, first.end) == (again.action, again.end)
        if first.end is not None:
            return
        first, again = resume(first.state, answer), resume(again.state, answer)
