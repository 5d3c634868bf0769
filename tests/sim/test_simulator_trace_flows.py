"""The simulator against recordings of this service itself on a real FreeSWITCH: one call each, on its own connection.

A recording is followed frame by frame. What the service sent is sent once the events that came before it have come
here too, and as long after the last of them: what plays here need not be as long as it was there. What the far end did
is done at the same place: its digits, its end, a bot's words. Compared: the events that the service hears, with the
headers that it reads, and every reply.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import gevent
import orjson
import pytest

from fsbridge.simulator import FarEndBook, Simulator, SimulatorSettings, parse_script
from fsbridge.simulator.audio.fetcher import HttpFetcher
from fsbridge.simulator.audio.sound import AUDIO_FOLDER
from fsbridge.simulator.farends.dialplan import DEFAULT, STOCK, Extension, parked
from fsbridge.simulator.settings import NO_GAP, AnswerGap
from fsbridge.simulator.time.spread import Spread
from tests.sim.simulator_helpers import AudioServer, Client, Frame, ManualClock, simulated, wait_until
from tests.sim.test_simulator_trace_legs import audio_over_http
from tests.sim.test_simulator_traces import ENDED_EARLY, HEADERS, differences
from tests.traces import loader

pytestmark = pytest.mark.sim

SUBSCRIPTION = (
    "json CHANNEL_CREATE CHANNEL_PROGRESS CHANNEL_PROGRESS_MEDIA CHANNEL_ANSWER CHANNEL_PARK CHANNEL_EXECUTE_COMPLETE "
    "CHANNEL_HANGUP CHANNEL_HANGUP_COMPLETE BACKGROUND_JOB DTMF CUSTOM mod_audio_fork::connect "
    "mod_audio_fork::connect_failed mod_audio_fork::disconnect mod_audio_fork::transcription mod_audio_fork::json"
)
FILTERS = ("variable_fsbridge_node fs1", "Event-Name BACKGROUND_JOB", "Event-Name DTMF", "Event-Name CHANNEL_PARK")
READ = [
    *(name for name in HEADERS if name not in ENDED_EARLY),
    "variable_fsbridge_digits",
    "variable_fsbridge_digits_invalid",
    "variable_playback_terminator_used",
    "variable_sip_reason",
    "variable_bridge_hangup_cause",
    "variable_DIALSTATUS",
]
LONGEST = 60.0
"""Simulated seconds until what a command waits for must have come."""
OUTSIDE = frozenset({"DTMF", "mod_audio_fork::connect", "mod_audio_fork::transcription"})
"""Events that somebody outside the node brings about."""


@dataclass(frozen=True)
class Recording:
    """A recorded call."""

    entries: list[loader.Entry]
    frames: list[Frame]

    @staticmethod
    def read(name: str) -> Recording:
        further = f"flows/{name}"
        entries = loader.conversation(further if further in loader.flows() else name)
        return Recording(entries, [Frame(entry.raw) for entry in entries])

    @property
    def uuid(self) -> str:
        named = [frame.event["Unique-ID"] for frame in self.frames if "Unique-ID" in frame.event]
        return named[0]

    @property
    def inbound(self) -> dict[str, str]:
        """The first event, if a call came in."""
        event = next(frame.event for frame in self.frames if "Unique-ID" in frame.event)
        return event if event["Call-Direction"] == "inbound" else {}

    def event(self, name: str) -> dict[str, str]:
        return next((frame.event for frame in self.frames if frame.name == name), {})

    def moment(self, name: str) -> float | None:
        """Seconds from the first frame to the first such event."""
        for place, (entry, frame) in enumerate(zip(self.entries, self.frames, strict=True)):
            if entry.dir == "recv" and frame.name == name:
                # Of two at the same time the first comes first.
                return entry.t - self.entries[0].t + place / 1e6
        return None

    def gap(self) -> AnswerGap:
        """Between the answer, the result and park, as it was."""
        answer, result, park = map(self.moment, ("CHANNEL_ANSWER", "BACKGROUND_JOB", "CHANNEL_PARK"))
        if answer is None or result is None or park is None:
            return NO_GAP
        return AnswerGap(Spread.between(result - answer, result - answer), Spread.between(park - answer, park - answer))

    def far_end(self) -> list[object]:
        """How the far end took the call, as a script."""
        steps: list[tuple[float, object]] = []
        for name, step in (
            ("CHANNEL_PROGRESS", {"ring": 0}),
            ("CHANNEL_PROGRESS_MEDIA", "early_media"),
            ("CHANNEL_ANSWER", "answer"),
        ):
            moment = self.moment(name)
            if moment is not None:
                steps.append((moment, step))
        end = self.event("CHANNEL_HANGUP")
        refused = int(end.get("variable_sip_term_status", "0"))
        if refused >= 300:
            q850 = int(end["variable_sip_term_cause"])
            steps.append((self.moment("CHANNEL_HANGUP") or 0.0, {"reject": {"status": refused, "q850": q850}}))
        script: list[object] = []
        # The INVITE arrives a frame after the command.
        now = 0.021
        for moment, step in sorted(steps, key=lambda each: each[0]):
            script += [{"silence": round(max(moment - now, 0.0), 3)}, step]
            now = max(moment, now)
        return [*script, {"silence": 3600}]


@dataclass
class Play:
    """A recording, followed on a simulator."""

    recording: Recording
    simulator: Simulator
    clock: ManualClock
    client: Client
    audio: AudioServer
    names: dict[str, str]
    """What is called otherwise here: uuids, addresses, files."""
    at: dict[str, Callable[[Simulator], object]] = field(default_factory=dict)
    """What somebody did to the node, just before its event of this name."""
    done: list[str] = field(default_factory=list)

    def run(self) -> None:
        recording = self.recording
        last, events = recording.entries[0].t, 0
        for entry, frame in zip(recording.entries, recording.frames, strict=True):
            if entry.dir == "recv":
                if frame.event:
                    self._bring_about(frame, entry.t - last, events)
                    events += 1
                    last = entry.t
                continue
            self._wait_for(events)
            self._pass(entry.t - last)
            last = entry.t
            count = len(self.client.replies)
            self.client.send(self.adapted(entry.raw.decode()))
            wait_until(lambda count=count: len(self.client.replies) > count)
        self._wait_for(events)

    def _bring_about(self, frame: Frame, seconds: float, events: int) -> None:
        by_far_end = frame.name == "CHANNEL_HANGUP" and (
            self.recording.event("CHANNEL_HANGUP_COMPLETE").get("variable_sip_hangup_disposition") == "recv_bye"
        )
        if frame.name not in OUTSIDE and frame.name not in self.at and not by_far_end:
            return
        self._wait_for(events)
        if frame.name == "mod_audio_fork::connect":
            wait_until(lambda: len(self.client.events) > events)
            return
        self._pass(seconds)
        channel = self.simulator.node.channels.get(self.adapted(frame.event.get("Unique-ID", "")))
        if frame.name in self.at:
            self.simulator.node.scheduler.perform(lambda: self.at.pop(frame.name)(self.simulator))
        elif frame.name == "DTMF":
            assert channel is not None
            self.simulator.node.scheduler.perform(lambda: channel.dtmf(frame.event["DTMF-Digit"]))
        elif by_far_end:
            assert channel is not None
            cause = frame.event["Hangup-Cause"]
            self.simulator.node.scheduler.perform(lambda: channel.hang_up(cause, by_far_end=True))
        else:
            self.audio.push(orjson.dumps({"type": "transcription", "data": orjson.loads(frame.body)}).decode())
            wait_until(lambda: len(self.client.events) > events)

    def _wait_for(self, events: int) -> None:
        end = self.clock.monotonic() + LONGEST
        while len(self.client.events) < events and self.clock.monotonic() < end:
            self._pass(0.005)
        assert len(self.client.events) >= events, [frame.name for frame in self.client.events]

    def _pass(self, seconds: float) -> None:
        end = self.clock.monotonic() + seconds
        step = 0.02 if seconds < 10 else 1.0
        fetcher = self.simulator.node.fetcher
        assert isinstance(fetcher, HttpFetcher)
        while self.clock.monotonic() < end - 1e-9:
            self.clock.advance_to(min(self.clock.monotonic() + step, end))
            self.simulator.node.scheduler.perform(lambda: None)
            # What is outside of the node takes real time, which the simulated clock does not know of.
            wait_until(lambda: not fetcher.under_way)
            if not self.client.ended:
                # Its reply comes after every event that was sent before it.
                self.client.command("nolog")
                self.client.replies.pop()
            gevent.sleep(0)

    def adapted(self, text: str) -> str:
        for there, here in self.names.items():
            text = text.replace(there, here)
        text = re.sub(r"/srv/trial/prompts/([a-z-]+)\.wav", rf"{AUDIO_FOLDER}/\1.flac", text)
        return re.sub(r"ws://[0-9.:]+/\S+", self.audio.url, text)

    def compared(self, frames: list[Frame]) -> list[tuple[str, dict[str, str], str]]:
        return [
            (
                frame.name,
                # What a Reason header says besides its cause is the far end's own.
                {n: self.adapted(frame.event[n]).partition(";text=")[0] for n in READ if n in frame.event},
                frame.body.strip(),
            )
            for frame in frames
            if frame.event
        ]


def replay(name: str, at: dict[str, Callable[[Simulator], object]] | None = None, **changed: object) -> Play:
    """Follow a recording; `changed` are settings, and ``prepare(simulator)`` comes before everything."""
    recording = Recording.read(name)
    prepare = changed.pop("prepare", lambda simulator: None)
    script = changed.pop("script", None) or recording.far_end()
    clock = ManualClock()
    caller = recording.inbound
    dialplan = STOCK.with_first(
        Extension(("anything",), (("answer", ""), ("playback", "tone_stream://%(500,500,440);loops=20")), DEFAULT)
    )
    if caller:
        number = caller["Caller-Destination-Number"]
        dialplan = dialplan.with_first(
            parked(number, variables={"fsbridge_inbound": caller.get("variable_fsbridge_inbound", "x")})
        )
    settings: dict[str, object] = {
        "far_ends": FarEndBook((parse_script("recorded", "*", script),)),
        "gateways": ("kit",),
        "node": "fs-node-1",
        "answer_gap": recording.gap(),
        "dialplan": dialplan,
        **changed,
    }
    with ExitStack() as stack:
        address = stack.enter_context(audio_over_http())
        simulator, supervisor = stack.enter_context(simulated(SimulatorSettings(**settings), clock))  # type: ignore[arg-type]
        names = {"127.0.0.1:8891/prompt.wav": f"{address}/hello.wav", "127.0.0.1:8891/nope.wav": f"{address}/nope.wav"}
        audio = AudioServer(supervisor)
        client = Client(simulator.port, supervisor).login(SUBSCRIPTION)
        if any("fsbridge_node" in entry.raw.decode() for entry in recording.entries):
            for line in FILTERS:
                client.command(f"filter {line}")
        client.replies.clear()
        prepare(simulator)  # type: ignore[operator]
        play = Play(recording, simulator, clock, client, audio, names, dict(at or {}))
        if caller:
            silent = parse_script("caller", "*", [{"ring": 60}, {"silence": 3600}])
            ours = simulator.call_in(number, silent, caller=caller["Caller-Caller-ID-Number"])
            names[recording.uuid] = ours
            first_heard = recording.frames[0].event.get("Event-Name") == "CHANNEL_PARK"
            play._wait_for(1)
            if not first_heard:
                client.events.clear()
        play.run()
        audio.close()
    return play


def received(play: Play) -> list[Frame]:
    recording = play.recording
    return [frame for entry, frame in zip(recording.entries, recording.frames, strict=True) if entry.dir == "recv"]


def check(play: Play, *ignored: str) -> None:
    """The same events with the same headers, and the same replies."""
    expected, got = play.compared(received(play)), play.compared(play.client.events)
    assert [event[0] for event in got] == [event[0] for event in expected]
    for _, headers, _ in (*got, *expected):
        for name in ignored:
            headers.pop(name, None)
    assert not (wrong := differences(got, expected)), "\n".join(wrong)
    plain = [frame for frame in received(play) if not frame.event and not _is_dump(frame)]
    here = [frame for frame in play.client.replies if not _is_dump(frame)]
    assert [frame.raw for frame in here] == [frame.raw for frame in plain]


def _is_dump(frame: Frame) -> bool:
    """Whether this is the answer to uuid_dump, full of figures and times."""
    return frame.body.startswith("{")


def hang_up(cause: str) -> Callable[[Simulator], None]:
    """Somebody hangs up every call of the node."""

    def all_of(simulator: Simulator) -> None:
        for channel in list(simulator.node.channels.values()):
            channel.hang_up(cause, at_once=True)

    return all_of


def took(play: Play, application: str, argument: str = "") -> float:
    """Seconds from the last CHANNEL_EXECUTE_COMPLETE (or park) to that of this application."""
    ends = [f.event for f in play.client.events if f.name in ("CHANNEL_EXECUTE_COMPLETE", "CHANNEL_PARK")]
    times = [int(event["Event-Date-Timestamp"]) / 1e6 for event in ends]
    return next(
        after - before
        for before, after, event in zip(times, times[1:], ends[1:], strict=False)
        if event.get("Application") == application and argument in event.get("Application-Data", "")
    )


@pytest.mark.parametrize(
    "name",
    [
        "race_playback_before_park",
        "race_speak_before_park",
        "race_menu_before_park",
        "race_conference_before_park",
        "park_long_after_job_110",
        "send_dtmf_is_queued",
    ],
)
def test_what_is_sent_before_park_has_begun_is_taken_off_by_it(name: str, tmp_path: Path) -> None:
    # Whether a far end rings while its leg is still being routed is an accident of threads.
    ignored = ["Channel-State"] if name == "park_long_after_job_110" else []
    check(replay(name, recordings=str(tmp_path)), "variable_sip_reason", *ignored)


def test_what_is_sent_as_park_begins_is_kept(tmp_path: Path) -> None:
    # On the wire the command is ahead of CHANNEL_PARK, which was under way.
    play = replay("park_before_job_110", recordings=str(tmp_path), answer_gap=AnswerGap.between(0.004, 0.004))
    names = [event[0] for event in play.compared(received(play))]
    assert sorted(names) == sorted(event[0] for event in play.compared(play.client.events))
    done = [f.event["Application-Response"] for f in play.client.events if f.event.get("Application") == "multiset"]
    assert done == ["_none_"]


@pytest.mark.parametrize(
    "name",
    [
        "bridge_max_reached",
        "conference_max_reached",
        "park_transfer",
        "transfer_to_missing_context",
        "a_leg_hangs_up_in_bridge",
    ],
)
def test_legs_that_are_taken_elsewhere(name: str) -> None:
    check(replay(name), "variable_sip_reason")


@pytest.mark.parametrize("name", ["star_ends_speak", "record_ended_by_hash"])
def test_digits_that_end_what_runs(name: str, tmp_path: Path) -> None:
    tone: list[object] = ["answer", {"tone": {"hz": 440, "seconds": 3.3}}, {"silence": 600}]
    check(replay(name, recordings=str(tmp_path), script=tone if "record" in name else None))


def test_digits_typed_ahead_are_lost_and_a_lone_hash_ends_the_gather() -> None:
    check(replay("typed_ahead_digits_and_gather"))


def test_a_call_that_came_in_while_nobody_was_there() -> None:
    check(replay("inbound_taken_after_restart"))


@pytest.mark.parametrize("name", ["say_without_sounds", "media_steps_missing_files_bad_voice"])
def test_what_the_node_has_not_is_over_at_once(name: str) -> None:
    play = replay(name, say_sounds=False)
    check(play)
    if name == "say_without_sounds":
        assert took(play, "say", "NUMBER pronounced 1234") < 0.05
    else:
        assert took(play, "speak", "nosuchvoice") < 0.05
        assert took(play, "speak", "rms") > 0.3
        assert took(play, "playback", "nosuch") < 0.05


@pytest.mark.parametrize(
    "name", ["early_media_then_486", "refused_503_reason_17_110", "refused_603plus_110", "inbound_refused_404"]
)
def test_refusals_with_their_reasons(name: str) -> None:
    # Release 1.10.12 has no sip_reason, and a phrase is the far end's own.
    ignored = ["variable_sip_reason", "variable_sip_invite_failure_phrase"] if "110" in name else []
    check(replay(name), *ignored)


def test_a_hang_up_after_its_completion() -> None:
    def swap(simulator: Simulator) -> None:
        simulator.faults.put_after("CHANNEL_HANGUP", "CHANNEL_HANGUP_COMPLETE")

    check(replay("hangup_after_complete_110", prepare=swap), "variable_sip_reason")


def test_a_tap_that_never_connects() -> None:
    check(replay("tap_never_connects", prepare=lambda simulator: simulator.faults.silent_taps()))


def test_a_node_that_is_shut_down_under_a_call() -> None:
    def shut(simulator: Simulator) -> None:
        simulator.node.closed = True
        for channel in list(simulator.node.channels.values()):
            channel.reports_after = 10.5
        hang_up("SYSTEM_SHUTDOWN")(simulator)

    # Whether a playback that is cut short says so is an accident of threads.
    check(replay("node_shut_down_with_flow", at={"CHANNEL_HANGUP": shut}), "Application-Response")


@pytest.mark.parametrize("name", ["profile_restarted_live", "profile_restarted_ringing"])
def test_a_profile_that_is_restarted_under_a_call(name: str) -> None:
    check(replay(name, at={"CHANNEL_HANGUP": hang_up("MANAGER_REQUEST")}), "Application-Response")


def test_what_a_voice_bot_says_comes_as_events() -> None:
    check(replay("voice_bot_all_commands"))


def test_a_bot_that_transfers_while_it_speaks() -> None:
    # Minutes later somebody ended all calls of the node.
    later = {"CHANNEL_HANGUP": hang_up("NORMAL_CLEARING")}
    check(replay("voice_bot_transfers_while_speaking", at=later))


def test_what_a_flow_hears_of_its_ears() -> None:
    check(replay("ears_tap_hears"), "variable_sip_reason")


def test_a_bot_whose_host_is_not_found_is_never_heard_of() -> None:
    third = parse_script("third", "*111", ["answer", {"silence": 1}, "hangup"])
    ours = parse_script("ours", "*", Recording.read("bot_host_unresolvable").far_end())
    check(replay("bot_host_unresolvable", far_ends=FarEndBook((third, ours))), "variable_sip_reason")


@pytest.mark.parametrize("name", ["flow_calls_flow_inbound_side", "flow_calls_flow_outbound_side"])
def test_one_flow_called_by_another(name: str) -> None:
    check(replay(name), "variable_sip_reason")
