"""The simulator against recordings of calls with several legs: bridge, conference, inbound, audio over HTTP.

Like test_simulator_traces, but the far end's legs exist here too (the call comes back to the node, as in the
recordings), and each leg is compared on its own: its events in their order, with the headers that we read. How the
events of different legs lie among each other is an accident of FreeSWITCH's threads. Legs are matched by the order in
which they appear, per direction. Not compared: RECV_INFO (a SIP INFO about displays), and the CALL_UPDATE and caller id
of the far end's leg that come of it; PRESENCE_IN.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO

import numpy as np
import pytest
import soundfile
from bottle import Bottle, HTTPResponse
from gevent.event import Event
from gevent.pywsgi import WSGIServer

from fsbridge.simulator import SimulatorSettings
from fsbridge.simulator.audio.fetcher import HttpFetcher
from fsbridge.simulator.farends.dialplan import STOCK, Extension, parked
from fsbridge.simulator.settings import NO_GAP
from tests.sim.simulator_helpers import AudioServer, Client, Frame, ManualClock, simulated, wait_until
from tests.sim.test_simulator_traces import HEADERS, Replay

pytestmark = pytest.mark.sim

LEG_HEADERS = (
    *HEADERS,
    "Bridge-A-Unique-ID",
    "Bridge-B-Unique-ID",
    "Other-Leg-Unique-ID",
    "Other-Type",
    "Channel-Call-UUID",
    "Caller-Context",
    "Caller-Profile-Index",
    "Conference-Name",
    "Conference-Profile-Name",
    "Conference-Size",
    "Action",
    "Member-ID",
    "Floor",
    "Old-ID",
    "New-ID",
    "variable_originate_disposition",
    "variable_DIALSTATUS",
    "variable_originate_causes",
    "variable_originate_failed_cause",
    "variable_bridge_hangup_cause",
    "variable_last_bridge_hangup_cause",
    "variable_bridge_to",
    "variable_bridge_channel",
    "variable_last_bridge_to",
    "variable_originating_leg_uuid",
    "variable_signal_bond",
    "variable_ignore_early_media",
    "variable_direction",
    "variable_fsbridge_inbound",
    "variable_sip_to_user",
    "variable_call_uuid",
)
SKIPPED = {"RECV_INFO", "PRESENCE_IN"}
HELLO_SAMPLES = 18056

RING_AND_ECHO = (("ring_ready", ""), ("sleep", "200"), ("answer", ""), ("echo", ""))
DIALPLAN = STOCK.with_first(
    parked("inbound-1000", variables={"fsbridge_inbound": "1000"}),
    Extension(("*486",), (("respond", "486"),)),
    Extension(("1*",), RING_AND_ECHO),
)


def told(name: str, direction: str) -> bool:
    """Whether this event is compared."""
    return name not in SKIPPED and not (name == "CALL_UPDATE" and direction == "inbound")


def legs(frames: list[Frame], rename: dict[str, str]) -> dict[str, list[tuple[str, dict[str, str]]]]:
    """The compared events of each leg, under a name made of its direction and its place among those."""
    found: dict[str, list[tuple[str, dict[str, str]]]] = {}
    counts: dict[str, int] = {}
    for frame in frames:
        uuid, direction = frame.event.get("Unique-ID"), frame.event.get("Call-Direction")
        if uuid and direction and uuid not in rename:
            counts[direction] = counts.get(direction, 0) + 1
            rename[uuid] = f"{direction}-{counts[direction]}"
    pattern = re.compile("|".join(map(re.escape, rename)) or "$^")
    for frame in frames:
        event = frame.event
        key = rename.get(event.get("Unique-ID", ""), "")
        if not key or not told(frame.name, event.get("Call-Direction", "")):
            continue
        read = {
            name: pattern.sub(lambda match: rename[match[0]], str(event[name])) for name in LEG_HEADERS if name in event
        }
        if key.startswith("inbound"):
            read.pop("Caller-Caller-ID-Number", None)
        found.setdefault(key, []).append((frame.name, read))
    return found


@contextmanager
def audio_over_http() -> Iterator[str]:
    """Serves hello.wav, as long as the recording's, a page, and a sound that never comes; yields host and port."""
    app = Bottle()
    buffer = BytesIO()
    soundfile.write(buffer, np.zeros(HELLO_SAMPLES), 8000, format="WAV", subtype="PCM_16")

    @app.get("/hello.wav")  # type: ignore[untyped-decorator]
    def hello() -> HTTPResponse:
        return HTTPResponse(buffer.getvalue(), headers={"Content-Type": "audio/wav"})

    @app.get("/page.html")  # type: ignore[untyped-decorator]
    def page() -> str:
        return "<p>no sound</p>"

    @app.get("/slow.wav")  # type: ignore[untyped-decorator]
    def slow() -> str:
        never.wait(20)
        return ""

    never = Event()
    server = WSGIServer(("127.0.0.1", 0), app, log=None)
    server.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        never.set()
        server.stop(timeout=1)


class LegReplay(Replay):
    """A recording whose inbound legs are driven by command: their uuids are those of the legs here."""

    address = "127.0.0.1:9300"
    pairs: dict[str, str]
    fetching: Callable[[], object]

    def _let_time_pass(self, clock: ManualClock, moment: float) -> None:
        while clock.monotonic() < moment:
            super()._let_time_pass(clock, min(clock.monotonic() + 0.02, moment))
            # What the audio's server does takes real time, which the simulated clock does not know of.
            wait_until(lambda: not self.fetching())

    def adapt(self, text: str) -> str:
        text = super().adapt(text).replace("127.0.0.1:9300", self.address)
        for theirs, ours in self.pairs.items():
            text = text.replace(theirs, ours)
        return text


def replay(name: str) -> tuple[LegReplay, list[Frame], list[Frame]]:
    clock = ManualClock()
    settings = SimulatorSettings(dialplan=DIALPLAN, node="fs-node-1", answer_gap=NO_GAP)
    with audio_over_http() as address, simulated(settings, clock) as (simulator, supervisor):
        play = LegReplay(name, AudioServer(supervisor).url, simulator)
        play.address = address
        play.pairs = {}
        fetcher = simulator.node.fetcher
        assert isinstance(fetcher, HttpFetcher)
        play.fetching = lambda: fetcher.under_way
        recorded = [Frame(raw) for _, direction, raw in play.recorded if direction == "recv"]
        theirs = [frame.event["Unique-ID"] for frame in recorded if frame.event.get("Call-Direction") == "inbound"]
        client = Client(simulator.port, supervisor)

        def learn() -> None:
            ours = [f.event["Unique-ID"] for f in client.events if f.event.get("Call-Direction") == "inbound"]
            play.pairs = dict(zip(dict.fromkeys(theirs), dict.fromkeys(ours), strict=False))

        play.before_command = learn
        play.run(client, clock)
        for frame in recorded:
            for field, value in frame.event.items():
                frame.event[field] = str(value).replace("127.0.0.1:9300", address)
        return play, recorded, client.frames


@pytest.mark.parametrize(
    "name", ["inbound_call_parked", "flow_bridge_and_transfer", "playback_over_http", "conference_and_bridge"]
)
def test_each_leg_tells_the_same_events_with_the_headers_that_we_read(name: str) -> None:
    _, recorded, here = replay(name)
    expected, got = legs(recorded, {}), legs(here, {})
    assert list(got) == list(expected)
    for leg, events in expected.items():
        assert [event[0] for event in got[leg]] == [event[0] for event in events], leg
        wrong = [
            f"{leg} {event} {key}: {ours.get(key)!r}, recorded {theirs.get(key)!r}"
            for (event, ours), (_, theirs) in zip(got[leg], events, strict=True)
            for key in sorted(ours.keys() | theirs.keys())
            if ours.get(key) != theirs.get(key)
        ]
        assert not wrong, "\n".join(wrong)
