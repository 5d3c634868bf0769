"""Many streams through one network: whatever ticks are due go through together, in chunks of `CHUNK`.

One by one, a core does a few hundred streams; in batches it does thousands, and a batch gives each stream
exactly what it would have got alone (the window is fixed, the state is one row of a matrix). The engine knows
no sockets and no clock. It is single-threaded: whoever reads the sockets calls `run`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import torch

from amd_model.detector.checkpoint import LoadedModel
from amd_model.detector.decision import DecisionState, decide
from amd_model.detector.looks import Looks
from amd_model.detector.spec import CONTEXT_SAMPLES, MEASURES, NET_OUTPUTS, TICK_MS, TICK_SAMPLES
from amd_model.detector.tracker import may_begin
from amd_model.listening import likeness
from amd_model.listening.hearing import Hearing
from amd_model.verdict import AmdEvent, AmdOptions, EventKind, Heard
from amd_model.worker.serving import Floats, Ticker
from amd_model.worker.shadow import Comparison, Opinion, Shadow
from amd_model.worker.spoken import Spoken

CHUNK = 512
"""A call into the network costs half a millisecond however few streams it is for, and reads weights that no longer
fit the core's own cache: many at once are cheaper; beyond this no more is saved."""
GROWTH = 256
MAX_TICKS_A_RUN = 4
"""A stream that fell behind (its switch sent two seconds at once) catches up over several runs."""

TICK_BYTES = 2 * TICK_SAMPLES
CONTEXT_BYTES = 2 * CONTEXT_SAMPLES
WINDOW_BYTES = CONTEXT_BYTES + TICK_BYTES


class Analysis:
    """One stream's place in the engine. `audio` grows at its end by the owner and is consumed by the engine.

    `options` may be set until the first tick was analysed; `finished` is true once no further event can come.
    A stream whose options say `listen` is finished when it has listened for as long as they say.
    """

    __slots__ = ("audio", "bands", "finished", "hearing", "opinion", "options", "row", "spoken", "state", "ticks")

    def __init__(self, row: int, state: DecisionState, opinion: Opinion | None = None) -> None:
        self.row = row
        # A stream starts with silence behind it: the first tick's window has its context in front.
        self.audio = bytearray(CONTEXT_BYTES)
        self.options = AmdOptions()
        self.state = state
        self.opinion = opinion
        self.hearing: Hearing | None = None
        self.bands = b""  # those of the tick under way, where they were asked for
        self.spoken: Spoken | None = None
        self.ticks = 0
        self.finished = False

    def choose(self, options: AmdOptions) -> None:
        """The call's own options, instead of the defaults."""
        self.options = options
        self.hearing = Hearing(self.state.version) if options.listen else None

    @property
    def due(self) -> bool:
        """True when a whole tick of audio is waiting."""
        return len(self.audio) >= WINDOW_BYTES


class BatchEngine:
    """One model and the streams it serves, at most `capacity`; beside it perhaps a shadow (half as many streams)."""

    def __init__(
        self, model: LoadedModel, capacity: int, shadow: LoadedModel | None = None, *, words: bool = False
    ) -> None:
        """With `words`, what is said is kept until the verdict, and `looks` names the streams to be looked at."""
        self._words = words
        self.looks: list[Analysis] = []
        self._model = model
        self._ticker = Ticker(model)
        self._shadow = None if shadow is None else Shadow(shadow)
        self._capacity = capacity
        self.version = model.version
        self._fresh: Floats = model.net.initial_state(1).numpy()
        self._states = self._fresh[:0]
        self._free: list[int] = []

    @property
    def streams(self) -> int:
        """Streams open now."""
        return len(self._states) - len(self._free)

    def open(self) -> Analysis | None:
        """A place for a new stream; None when all are taken."""
        if not self._free and not self._grow():
            return None
        row = self._free.pop()
        self._states[row] = self._fresh
        opinion = None if self._shadow is None else self._shadow.open(row)
        analysis = Analysis(row, self._model.start(), opinion)
        if self._words:
            analysis.spoken = Spoken()
            analysis.state.looks = Looks()
        return analysis

    def close(self, analysis: Analysis) -> None:
        """Give a place back. Call it once for each `open`."""
        analysis.finished = True
        self._free.append(analysis.row)

    def run(self, due: Sequence[Analysis]) -> tuple[list[tuple[Analysis, list[AmdEvent | Heard]]], int]:
        """Analyse the ticks that are waiting; returns the streams that said something, and the ticks done.

        Streams without a whole tick are passed over. A finished stream is analysed no further, and its place
        is still the caller's to `close`.
        """
        events: dict[Analysis, list[AmdEvent | Heard]] = {}
        ticks = 0
        for _ in range(MAX_TICKS_A_RUN):
            ready = [one for one in due if len(one.audio) >= WINDOW_BYTES and not one.finished]
            if not ready:
                break
            size = -(-len(ready) // -(-len(ready) // CHUNK))  # chunks as equal as can be, as few as are needed
            for start in range(0, len(ready), size):
                chunk = ready[start : start + size]
                for analysis, outputs in zip(chunk, self._infer(chunk), strict=True):
                    said: Sequence[AmdEvent | Heard]
                    analysis.state, said = decide(analysis.state, outputs, analysis.options, analysis.ticks)
                    analysis.ticks += 1
                    if analysis.spoken is not None:
                        self._consider_words(analysis)
                    if analysis.hearing is None:
                        analysis.finished = analysis.state.done
                    else:
                        said = _heard(analysis, analysis.hearing, outputs, said)
                    if said:
                        events.setdefault(analysis, []).extend(said)
            ticks += len(ready)
        return list(events.items()), ticks

    def _consider_words(self, analysis: Analysis) -> None:
        state = analysis.state
        if state.verdict is not None:
            analysis.spoken = None
        elif state.look(analysis.ticks * TICK_MS):
            self.looks.append(analysis)

    def compare(self, analysis: Analysis, said: AmdEvent) -> Comparison | None:
        """A verdict that `run` returned beside the shadow's; None without a shadow."""
        if self._shadow is None or analysis.opinion is None or said.kind is not EventKind.VERDICT:
            return None
        return self._shadow.compare(analysis.opinion, said)

    def warm_up(self) -> float:
        """Run full and small batches before anybody waits for one; returns seconds for a full one."""
        for size in (1, CHUNK // 8, CHUNK, CHUNK):
            started = time.perf_counter()
            self._ticker.tick(torch.zeros(size, WINDOW_BYTES // 2), self._fresh.repeat(size, axis=0))
        return time.perf_counter() - started

    def _grow(self) -> bool:
        """Places are made as they are needed, in steps, so that an idle worker is small."""
        have = len(self._states)
        more = min(self._capacity - have, GROWTH)
        if more <= 0:
            return False
        self._states = np.concatenate((self._states, self._fresh.repeat(more, axis=0)))
        self._free = list(range(have + more - 1, have - 1, -1))
        return True

    def _infer(self, chunk: Sequence[Analysis]) -> list[list[float]]:
        """One tick of each stream: rows of outputs as `detector.spec` describes them, and as `decide` wants them."""
        pcm = bytearray()
        for analysis in chunk:
            audio = analysis.audio
            pcm += audio[:WINDOW_BYTES]
            if analysis.spoken is not None:
                spoken = analysis.state.first_speech_ms >= 0
                analysis.spoken.hear(audio[CONTEXT_BYTES:WINDOW_BYTES], begun=spoken)
            del audio[:TICK_BYTES]
        windows = np.frombuffer(pcm, dtype="<i2").reshape(len(chunk), -1)
        rows = np.array([analysis.row for analysis in chunk])
        scaled = windows.astype(np.float32) * np.float32(1 / 32_768)
        told = [index for index, analysis in enumerate(chunk) if analysis.options.listen_bands]
        if told:
            for index, seen in zip(told, likeness.fingerprints(scaled[told]), strict=True):
                chunk[index].bands = seen.tobytes()
        samples = torch.from_numpy(scaled)
        outputs, states = self._ticker.tick(samples, self._states[rows])
        self._states[rows] = states
        if self._shadow is not None:
            heard = [(analysis.opinion, analysis.options, analysis.ticks) for analysis in chunk if analysis.opinion]
            self._shadow.hear(samples, rows, heard)
        # Making Python's numbers of all measures, and looking for tones among them, costs as much as the decision does.
        rows_told: list[list[float]] = outputs[:, :NET_OUTPUTS].tolist()
        begins = may_begin(outputs[:, MEASURES]).tolist()
        whole = [
            index
            for index, analysis in enumerate(chunk)
            if begins[index] or analysis.hearing is not None or not analysis.state.tones.idle
        ]
        for index, row in zip(whole, outputs[whole].tolist(), strict=True):
            rows_told[index] = row
        return rows_told


def _heard(
    analysis: Analysis, hearing: Hearing, outputs: Sequence[float], said: Sequence[AmdEvent | Heard]
) -> list[AmdEvent | Heard]:
    """What the detector said, and what else is heard in the same tick. A beep that it told is not told again."""
    told = list(said)
    beeps = {event.beep_ms for event in said if isinstance(event, AmdEvent) and event.kind is EventKind.BEEP}
    for event in hearing.hear(outputs):
        if not (isinstance(event, AmdEvent) and event.beep_ms in beeps):
            told.append(event)
    if analysis.bands:
        bands, analysis.bands = hearing.bands(analysis.bands), b""
        if bands is not None:
            told.append(bands)
    if analysis.ticks * TICK_MS >= analysis.options.listen_max_ms:
        told += hearing.finish()
        analysis.finished = True
    return told
