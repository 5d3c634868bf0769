"""The simulator against recordings of this service itself on a real FreeSWITCH (tests/traces/flows): one call each.

The far end's script is read off the recording: it rings, answers, presses digits, hangs up when the recorded one did.
Each command is sent once the events that came before it have come here too, and as long after the last of them: what
plays here need not be as long as it was there. The subscription is the service's own. Compared: the events with the
headers that the service reads, and every reply.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path

import gevent
import pytest

from fsbridge.simulator import FarEndBook, Simulator, SimulatorSettings, parse_script
from fsbridge.simulator.audio.sound import AUDIO_FOLDER
from fsbridge.simulator.settings import AnswerGap
from fsbridge.simulator.time.spread import Spread
from tests.sim.simulator_helpers import Client, Frame, ManualClock, simulated, wait_until
from tests.sim.test_simulator_traces import ENDED_EARLY, HEADERS, differences
from tests.traces import loader

pytestmark = pytest.mark.sim

SUBSCRIPTION = (
    "json CHANNEL_CREATE CHANNEL_PROGRESS CHANNEL_PROGRESS_MEDIA CHANNEL_ANSWER CHANNEL_PARK CHANNEL_EXECUTE_COMPLETE "
    "CHANNEL_HANGUP CHANNEL_HANGUP_COMPLETE BACKGROUND_JOB DTMF CUSTOM mod_audio_fork::transcription"
)
FILTERS = ("variable_fsbridge_node fs1", "Event-Name BACKGROUND_JOB", "Event-Name DTMF", "Event-Name CHANNEL_PARK")
READ = [name for name in HEADERS if name not in ENDED_EARLY]
PROMPTS = "/srv/trial/prompts/"
LONGEST = 60.0
"""Simulated seconds until what a command waits for must have come."""
PRESS_SECONDS = 0.25


@dataclass(frozen=True)
class Recording:
    """A recorded call: its frames, and when things happened in seconds since the originate was sent."""

    name: str
    entries: list[loader.Entry]
    frames: list[Frame]

    @staticmethod
    def read(name: str) -> Recording:
        entries = loader.conversation(f"flows/{name}")
        return Recording(name, entries, [Frame(entry.raw) for entry in entries])

    @property
    def uuid(self) -> str:
        return next(frame.event["Unique-ID"] for frame in self.frames if "Unique-ID" in frame.event)

    def moments(self, name: str) -> list[float]:
        start = self.entries[0].t
        return [
            entry.t - start
            for entry, frame in zip(self.entries, self.frames, strict=True)
            if entry.dir == "recv" and frame.name == name and frame.event.get("Unique-ID", self.uuid) == self.uuid
        ]

    def gap(self) -> AnswerGap:
        """Its own, from the first answer."""
        answer = self.moments("CHANNEL_ANSWER")[0]
        result, park = self.moments("BACKGROUND_JOB")[0] - answer, self.moments("CHANNEL_PARK")[0] - answer
        return AnswerGap(Spread.between(result, result), Spread.between(park, park))

    def far_end(self) -> list[object]:
        """What the far end did, as a script."""
        steps: list[tuple[float, object]] = [(moment, {"ring": 0}) for moment in self.moments("CHANNEL_PROGRESS")]
        steps += [(moment, "early_media") for moment in self.moments("CHANNEL_PROGRESS_MEDIA")]
        steps += [(moment, "answer") for moment in self.moments("CHANNEL_ANSWER")]
        digits = [frame.event["DTMF-Digit"] for frame in self.frames if frame.name == "DTMF"]
        steps += [(at - PRESS_SECONDS, {"dtmf": digit}) for at, digit in zip(self.moments("DTMF"), digits, strict=True)]
        for frame in self.frames:
            if frame.name == "CHANNEL_HANGUP" and frame.event.get("variable_sip_term_status", "200") != "200":
                steps.append(
                    (self.moments("CHANNEL_HANGUP")[0], {"reject": int(frame.event["variable_sip_term_status"])})
                )
            elif (
                frame.name == "CHANNEL_HANGUP_COMPLETE" and frame.event["variable_sip_hangup_disposition"] == "recv_bye"
            ):
                steps.append((self.moments("CHANNEL_HANGUP")[0], "hangup"))
        script: list[object] = []
        # The INVITE arrives a frame after the command.
        now = 0.021
        for moment, step in sorted(steps, key=lambda each: each[0]):
            script += [{"silence": round(max(moment - now, 0.0), 3)}, step]
            now = max(moment, now) + (PRESS_SECONDS if isinstance(step, dict) and "dtmf" in step else 0.0)
        return [*script, {"silence": 3600}]


@dataclass
class Play:
    """A recording sent to a simulator, command by command."""

    recording: Recording
    simulator: Simulator
    clock: ManualClock
    client: Client
    replies: int = 0
    sent: list[str] = field(default_factory=list)

    def run(self) -> None:
        last, events = self.recording.entries[0].t, 0
        for entry, frame in zip(self.recording.entries, self.recording.frames, strict=True):
            if entry.dir == "recv":
                if frame.event:
                    events += 1
                    last = entry.t
                continue
            self._wait_for(events)
            self._pass(entry.t - last)
            last = entry.t
            count = len(self.client.replies)
            self.client.send(adapted(entry.raw.decode()))
            wait_until(lambda count=count: len(self.client.replies) > count)
        self._wait_for(events)

    def _wait_for(self, events: int) -> None:
        end = self.clock.monotonic() + LONGEST
        while len(self.client.events) < events and self.clock.monotonic() < end:
            self._pass(0.005)
            # Its reply comes after every event that was sent before it.
            self.client.command("nolog")
            self.client.replies.pop()
        assert len(self.client.events) >= events, [frame.name for frame in self.client.events]

    def _pass(self, seconds: float) -> None:
        end = self.clock.monotonic() + seconds
        while self.clock.monotonic() < end - 1e-9:
            self.clock.advance_to(min(self.clock.monotonic() + 0.02, end))
            self.simulator.node.scheduler.perform(lambda: None)
            gevent.sleep(0.0002)


def adapted(text: str) -> str:
    """What was played there lies among the simulator's own sounds."""
    return re.sub(rf"{PROMPTS}([a-z-]+)\.wav", rf"{AUDIO_FOLDER}/\1.flac", text)


def compared(frames: list[Frame]) -> list[tuple[str, dict[str, str], str]]:
    return [
        (frame.name, {name: adapted(frame.event[name]) for name in READ if name in frame.event}, frame.body.strip())
        for frame in frames
        if frame.event
    ]


def replay(name: str, **settings: object) -> tuple[Recording, Client]:
    """The recording, and the client that has done the same here."""
    recording = Recording.read(name)
    clock = ManualClock()
    book = FarEndBook((parse_script("recorded", "*", recording.far_end()),))
    plain = SimulatorSettings(far_ends=book, gateways=("kit",), node="fs-node-1", answer_gap=recording.gap())
    with simulated(replace(plain, **settings), clock) as (simulator, supervisor):  # type: ignore[arg-type]
        client = Client(simulator.port, supervisor).login(SUBSCRIPTION)
        for line in FILTERS:
            client.command(f"filter {line}")
        client.replies.clear()
        Play(recording, simulator, clock, client).run()
    return recording, client


@pytest.mark.parametrize(
    "name",
    [
        "race_playback_before_park",
        "race_speak_before_park",
        "race_menu_before_park",
        "race_conference_before_park",
    ],
)
def test_what_is_sent_before_park_has_begun_is_taken_off_by_it(name: str, tmp_path: Path) -> None:
    recording, client = replay(name, recordings=str(tmp_path))
    expected = compared([f for e, f in zip(recording.entries, recording.frames, strict=True) if e.dir == "recv"])
    got = compared(client.events)
    assert [event[0] for event in got] == [event[0] for event in expected]
    assert not (wrong := differences(got, expected)), "\n".join(wrong)
    recorded = [
        e.raw for e, f in zip(recording.entries, recording.frames, strict=True) if e.dir == "recv" and not f.event
    ]
    assert [frame.raw for frame in client.replies] == recorded
