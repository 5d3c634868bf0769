"""The simulator against recorded conversations with a real FreeSWITCH: same commands in, same events and replies out.

The commands of each recording are sent at their recorded times (on a clock that the test moves) to a simulator whose
far ends behave like the recording's. Compared, for our own leg: the sequence of events, and of each one the headers
that the product reads. Known deviations, all on purpose:

* the recordings also show the far end's leg, as their far end is the same node: the simulator has no such leg;
* `mod_audio_fork::…` events come when the audio server has answered, so their place among others is not compared,
  only their own order and bodies;
* the unnamed dump that FreeSWITCH sends before it runs `api_hangup_hook`, and API, HEARTBEAT and RE_SCHEDULE, whose
  places are accidents of FreeSWITCH's threads, are not compared.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import gevent
import pytest

from fsbridge.simulator import Simulator, SimulatorSettings, parse_script
from fsbridge.simulator.settings import NO_GAP, AnswerGap
from fsbridge.simulator.time.spread import Spread
from tests.sim.simulator_helpers import LOOP, AudioServer, Client, Frame, ManualClock, simulated, wait_until
from tests.traces import loader

pytestmark = pytest.mark.sim

SKIPPED = {"API", "HEARTBEAT", "RE_SCHEDULE", ""}
HEADERS = (
    "Event-Subclass",
    "Channel-State",
    "Channel-Call-State",
    "Answer-State",
    "Call-Direction",
    "Channel-Name",
    "Hangup-Cause",
    "Application",
    "Application-Data",
    "Application-Response",
    "Job-UUID",
    "Job-Command",
    "Job-Command-Arg",
    "DTMF-Digit",
    "Playback-File-Path",
    "Playback-File-Type",
    "Playback-Status",
    "Record-File-Path",
    "Media-Bug-Function",
    "Detected-Tone",
    "Caller-Destination-Number",
    "Caller-Caller-ID-Number",
    "Original-Channel-Call-State",
    "Task-Desc",
    "variable_hangup_cause",
    "variable_hangup_cause_q850",
    "variable_sip_term_status",
    "variable_sip_invite_failure_status",
    "variable_sip_invite_failure_phrase",
    "variable_proto_specific_hangup_cause",
    "variable_sip_hangup_disposition",
    "variable_endpoint_disposition",
    "variable_origination_uuid",
    "variable_originate_timeout",
    "variable_rtp_timeout_sec",
    "variable_sip_redirected_to",
    "variable_sip_redirect_contact_user_0",
    "variable_api_on_answer",
    "variable_fsb_session",
    "variable_fsb_node",
    "variable_menu_choice",
    "variable_menu_choice2",
    "variable_read_result",
    "variable_read_terminator_used",
    "variable_playback_ms",
    "variable_playback_samples",
    "variable_current_application",
    "variable_greeting",
    "variable_injected",
)

# How much of a playback was heard until somebody ended it differs by a few frames.
ENDED_EARLY = {"variable_playback_ms", "variable_playback_samples"}
IGNORED_HEADERS: dict[str, set[str]] = {
    "flow_playback_and_break": ENDED_EARLY,
    "hangup_during_playback": ENDED_EARLY,
    "standing_paused": {"variable_sip_invite_failure_phrase"},
}

# Commands about the far end's leg, which the simulator does not have, and replies full of figures and times.
UNANSWERABLE = tuple(
    f"api {command}"
    for command in (
        "show channels as json",
        "uuid_send_dtmf",
        "uuid_dump",
        "status",
        "sofia",
        "hostname",
        "global_getvar",
    )
)

# Where the recording acted on the far end's leg by command, its script does the same here.
FAR_ENDS = {
    "call_limit_on_answer": (parse_script("at once", "15550100000", ["answer", {"echo": 60}]),),
    # The far end is the same node, which takes no calls in either.
    "standing_paused": (parse_script("paused as well", "15550100000", [{"reject": 503}]),),
    "media_timeout": (parse_script("vanishes", "15551234567", [{"ring": 0.2}, "answer", {"silence": 2}, "vanish"]),),
    "redirect_followed": (
        parse_script("moved", "15551234567", [{"redirect": "15550100099"}]),
        parse_script("there", "15550100099", ["answer", {"echo": 60}]),
    ),
    "redirect_refused": (parse_script("moved", "15551234567", [{"redirect": "15550100099"}]),),
    "flow_digits": (
        parse_script("digits", "1555", [{"ring": 0.2}, "answer", {"silence": 2.2}, {"dtmf": "12#"}, {"silence": 60}]),
    ),
}

TRACES = [
    "answered_gateway",
    "answered_gateway_json",
    "answered_sip_uri",
    "bad_dial_string",
    "busy_486",
    "cancelled_while_ringing",
    "call_limit_on_answer",
    "cause_kept_by_hangup_hook",
    "dead_gateway",
    "declined_603",
    "early_media_ignored",
    "early_media_taken",
    "execute_after_hangup",
    "executes_queued",
    "far_end_hangs_up",
    "far_end_sends_dtmf",
    "fax_answers",
    "filters",
    "flow_digits",
    "flow_playback_and_break",
    "flow_say_speak_record",
    "fork_server_absent",
    "fork_server_closes",
    "fork_server_sends_json",
    "fork_started_by_command",
    "fork_started_on_answer",
    "fork_started_twice",
    "hangup_during_playback",
    "killed_with_cause",
    "no_answer_timeout",
    "media_timeout",
    "node_queries",
    "not_found_404",
    "redirect_followed",
    "redirect_refused",
    "standing_paused",
    "two_taps",
    "unavailable_503",
    "unicode_and_newline_values",
    "unknown_gateway",
    "wrong_password",
]


Compared = tuple[str, dict[str, str], str]


class Replay:
    """One recording sent to a simulator: `frames` is what came back."""

    def __init__(self, name: str, audio_url: str, simulator: Simulator) -> None:
        self._simulator = simulator
        self.recorded = [(entry.t, entry.dir, entry.raw) for entry in loader.conversation(name)]
        self._audio_url = audio_url
        self.before_command: Callable[[], None] = lambda: None

    def adapt(self, text: str) -> str:
        """A command as it is sent here: only the address of the audio server changes."""
        text = re.sub(r"ws://127\.0\.0\.1:9200/\S+", lambda match: self._audio_url, text)
        return text.replace("ws://127.0.0.1:9299/x", "ws://127.0.0.1:1/x")

    def run(self, client: Client, clock: ManualClock) -> None:
        wait_until(lambda: client.replies)
        start = clock.monotonic()
        forks_seen = 0
        for t, direction, raw in self.recorded:
            if direction == "recv":
                forks_seen += b"Event-Subclass: mod_audio_fork" in raw or b'"Event-Subclass":"mod_audio_fork' in raw
            if direction != "send":
                continue
            self._let_time_pass(clock, start + t)
            # What the audio server does takes real time, which the simulated clock does not know of.
            wait_until(lambda wanted=forks_seen: len(forks(client.events)) >= wanted)
            self.before_command()
            count = len(client.replies)
            client.send(self.adapt(raw.decode()))
            wait_until(lambda count=count: len(client.replies) > count or client.ended)
        wait_until(lambda: client.ended)

    def _let_time_pass(self, clock: ManualClock, moment: float) -> None:
        while clock.monotonic() < moment:
            clock.advance_to(min(clock.monotonic() + 0.2, moment))
            self._simulator.node.scheduler.perform(lambda: None)
            gevent.sleep(0.0002)


PARK_FIRST = AnswerGap(Spread.between(0.01, 0.01), Spread.between(0.0, 0.0))
"""The order of these two is nobody's rule."""


def our_uuids(frames: list[Frame]) -> set[str]:
    return {
        frame.event["Unique-ID"]
        for frame in frames
        if frame.event.get("Call-Direction") == "outbound" and "Unique-ID" in frame.event
    }


def sequence(frames: list[Frame], ignored: set[str]) -> list[Compared]:
    """Name, read headers and body of each compared event."""
    ours = our_uuids(frames)
    result = []
    for frame in frames:
        event = frame.event
        if frame.name in SKIPPED or event.get("Event-Name", "") in SKIPPED or "mod_audio_fork::" in frame.name:
            continue
        about = event.get("Unique-ID") or event.get("Task-Group")
        if about is not None and about not in ours:
            continue
        read = {name: event[name] for name in HEADERS if name in event and name not in ignored}
        result.append((frame.name, read, frame.body.strip()))
    return result


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def replay(name: str, clock: ManualClock, recordings: str) -> tuple[list[Frame], list[Frame]]:
    """The recorded frames and those of the simulator."""
    book = LOOP.with_first(*FAR_ENDS[name]) if name in FAR_ENDS else LOOP
    settings = SimulatorSettings(
        far_ends=book,
        gateways=("carrier", "loop", "far"),
        recordings=recordings,
        max_sessions=2000,
        sessions_per_second=300,
        node="fs-node-1",
        # The recording's node had no sound files.
        say_sounds=name != "flow_say_speak_record",
        answer_gap=PARK_FIRST if name == "media_timeout" else NO_GAP,
    )
    with simulated(settings, clock) as (simulator, supervisor):
        audio = AudioServer(supervisor)
        if name == "fork_server_sends_json":
            audio.say = [
                '{"type":"transcription","data":{"verdict":"live_person","confidence":0.97}}',
                '{"type":"json","data":{"x":1}}',
                '{"type":"disconnect"}',
            ]
        if name == "fork_server_closes":
            audio.close_after_bytes = 6400
        client = Client(simulator.port, supervisor)
        play = Replay(name, audio.url, simulator)
        play.run(client, clock)
        audio.close()
        recorded = [Frame(raw) for _, direction, raw in play.recorded if direction == "recv"]
        for frame in recorded:
            for field, value in frame.event.items():
                # A variable that holds a list is a JSON array; only the far end's leg has such.
                frame.event[field] = play.adapt(value) if isinstance(value, str) else value
        return recorded, client.frames


def differences(got: list[Compared], expected: list[Compared]) -> list[str]:
    """What differs, event by event."""
    found = []
    for (name, headers, body), (_, wanted, wanted_body) in zip(got, expected, strict=True):
        for key in sorted(headers.keys() | wanted.keys()):
            if headers.get(key) != wanted.get(key):
                found.append(f"{name} {key}: {headers.get(key)!r}, recorded {wanted.get(key)!r}")
        if body != wanted_body:
            found.append(f"{name} body: {body!r}, recorded {wanted_body!r}")
    return found


def forks(frames: list[Frame]) -> list[tuple[str, str]]:
    return [(frame.name, frame.body.strip()) for frame in frames if frame.name.startswith("mod_audio_fork::")]


def answered(name: str, frames: list[Frame]) -> list[bytes]:
    """The replies that can be compared byte for byte."""
    commands = [b"(connect)", *loader.sent(name)]
    replies = [frame.raw for frame in frames if not frame.event]
    pairs = zip(commands, replies, strict=False)
    return [reply for command, reply in pairs if not command.decode().startswith(UNANSWERABLE)]


@pytest.mark.parametrize("name", [name for name in TRACES if name in loader.names()])
def test_same_events_with_the_headers_that_we_read_and_same_replies(
    name: str, clock: ManualClock, tmp_path: Path
) -> None:
    recorded, here = replay(name, clock, str(tmp_path))
    ignored = IGNORED_HEADERS.get(name, set())
    expected, got = sequence(recorded, ignored), sequence(here, ignored)
    assert [event[0] for event in got] == [event[0] for event in expected]
    assert differences(got, expected) == []
    assert forks(here) == forks(recorded)
    assert answered(name, here) == answered(name, recorded)
