"""Speech → answers as they are heard on a call, with labels for every 20 ms.

An answer is composed of clips by ``training.composition.laws`` (when somebody starts, how long a machine pauses, what
follows a person's turn) and sent through one telephone channel that is drawn without looking at the label. Both classes
are made of the same speakers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amd_model.detector.spec import HOP_SAMPLES, SAMPLE_RATE, TICK_SAMPLES
from amd_model.verdict import Verdict
from training.composition.laws import Laws, draw_line
from training.composition.library import Library
from training.composition.tape import Speech, Tape, fluent, paced
from training.corpus.manifest import Clip
from training.corpus.phones import Phones
from training.telephone import signals
from training.telephone.channel import Audio, Channel, Random, noise, through


@dataclass(slots=True)
class Case:
    """One composed answer with its truth; times in ms since its first sample, −1 where there is none."""

    audio: Audio
    label: Verdict
    kind: str
    voice: str
    speech: NDArray[np.bool_]
    tone: NDArray[np.bool_]
    first_word_ms: int
    turn_end_ms: int
    beep_ms: int
    line: Channel = field(default_factory=Channel)
    spelt: list[tuple[int, int, Phones]] = field(default_factory=list)  # frame from, to, what


class Composer:
    """Draws answers. A seed fixes them all, case by case, whatever the order they are asked in."""

    def __init__(self, library: Library, laws: Laws, seed: int) -> None:
        self.library, self.laws, self.seed = library, laws, seed

    def case(self, index: int) -> Case:
        """The answer with this number."""
        random = np.random.default_rng((self.seed, index))
        line = draw_line(self.laws, random)
        laws = self.laws
        draw = random.random()
        tape = Tape(laws.seconds)
        if random.random() < 0.12:
            tape.play(signals.ring_tail(random) * random.uniform(0.2, 1.5))
        if random.random() < 0.25:
            self._click(tape, random)
        if draw < laws.live:
            label, (kind, voice) = Verdict.LIVE_PERSON, self._live(tape, random)
        elif draw < laws.live + laws.machine:
            label, (kind, voice) = Verdict.ANSWERING_MACHINE, self._machine(tape, random)
        elif draw < laws.live + laws.machine + laws.fax:
            label, (kind, voice) = Verdict.FAX, self._fax(tape, random)
        else:
            label, (kind, voice) = Verdict.UNKNOWN, self._unknown(tape, random)
        tape.local *= 10 ** ((float(random.uniform(-32, -8)) + 20) / 20)
        voices: Sequence[Audio] = self.library.voices
        if label is Verdict.UNKNOWN and line.noise in ("tv", "babble", "music"):
            # Nobody in front of a loud television: nothing could tell it from somebody speaking.
            line = Channel(**{**_fields(line), "noise": "pink"})
        if line.noise == "music":
            voices = [self.library.music(laws.seconds, random)]
            line_noise = Channel(**{**_fields(line), "noise": "tv"})
        else:
            line_noise = line
        audio = through(tape.voice, line_noise, random, voices, tape.local)
        return Case(
            audio, label, kind, voice, _frames(tape.spoken), _ticks(tape.toned),
            _ms(tape.first_word), _ms(tape.turn_end), _ms(tape.beep), line,
            [(begin // HOP_SAMPLES, -(-end // HOP_SAMPLES), phones) for begin, end, phones in tape.spelt],
        )  # fmt: skip

    def _vary(self, speech: Speech, factor: float) -> Speech:
        """Another speaker of the same words: faster and higher, or slower and lower."""
        if factor == 1.0:
            return speech
        count = len(speech)
        places = np.arange(0, count - 1, factor)
        return speech.changed(lambda audio: np.interp(places, np.arange(count), audio).astype(np.float32))

    def _read(self, kind: str, random: Random, speaker: str | None = None) -> tuple[Clip, Speech]:
        """A clip, as ``Library.pick``; where somebody reading aloud stops and thinks, the laws' pauses stand."""
        clip, speech = self.library.pick(kind, random, speaker)
        if clip.kind == "speech":
            speech = speech.changed(lambda audio: fluent(audio, self.laws.hesitation))
        return clip, speech

    def _paced(self, speech: Speech, random: Random, pause: Callable[[Random], float], share: float) -> Speech:
        """In a share of training's clips, most silences between words drawn anew."""
        if not self.laws.augment or random.random() >= share:
            return speech
        pauses = (pause(random) if random.random() < 0.7 else 0.0 for _ in range(100))
        return speech.changed(lambda audio: paced(audio, pauses))

    def _factor(self, random: Random) -> float:
        return float(random.uniform(0.86, 1.16)) if self.laws.augment and random.random() < 0.6 else 1.0

    def _click(self, tape: Tape, random: Random) -> None:
        """Handling noise or a connect click, before anybody's first word."""
        burst = noise("clatter", int(random.uniform(0.05, 0.5) * SAMPLE_RATE), random) * float(random.uniform(0.1, 2.0))
        tape.wait(random.uniform(0, 0.3))
        tape.remote(burst.astype(np.float32))

    def _start(self, tape: Tape, speech: Speech, random: Random) -> Speech:
        """Wait for the onset, or cut what was said before the first sample."""
        onset = self.laws.onset(random)
        if onset >= 0:
            tape.wait(onset)
            return speech
        return speech.cut(min(int(-onset * SAMPLE_RATE), len(speech) // 3))

    def _word(self, speech: Speech, random: Random) -> Speech:
        """The first word or two of a sentence, cut where it is quietest."""
        low, high = int(0.35 * SAMPLE_RATE), int(random.uniform(0.5, 1.2) * SAMPLE_RATE)
        if len(speech) <= high:
            return speech
        power = np.convolve(np.square(speech.audio[low:high]), np.ones(240), mode="same")
        end = low + int(np.argmin(power))
        piece = speech.audio[:end].copy()
        piece[-160:] *= np.linspace(1, 0, 160, dtype=np.float32)
        return Speech(piece)

    def _live(self, tape: Tape, random: Random) -> tuple[str, str]:
        library, factor = self.library, self._factor(random)
        draw = random.random()
        if draw < 0.5 and library.by_kind["live"]:
            clip, speech = library.pick("live", random)
            kind, speech = "answer", self._paced(speech, random, self.laws.breath, 0.3)
        else:
            clip, speech = self._read("speech", random)
            if draw < 0.72:
                kind, speech = "word", self._word(speech, random)
            else:
                kind = "sentence"
        tape.say(self._start(tape, self._vary(speech, factor), random))
        more = random.random()
        if more < (0.16 if kind != "sentence" else 0.18):  # one turn in two parts
            tape.wait(self.laws.breath(random))
            _, second = self._read(clip.kind, random, clip.speaker)
            tape.say(self._vary(second if random.random() < 0.45 else self._word(second, random), factor))
            kind = "long " + kind
        while random.random() < 0.45:  # they speak again: nobody answered
            tape.wait(self.laws.wait(random))
            _, again = self._read(clip.kind, random, clip.speaker)
            tape.say(self._vary(self._word(again, random), factor), turn=False)
        return kind, _voice(clip)

    def _machine(self, tape: Tape, random: Random) -> tuple[str, str]:
        library, laws, factor = self.library, self.laws, self._factor(random)
        draw = random.random()
        if draw < 0.05:
            seconds = float(random.uniform(0.8, 3.5))
            tape.wait(random.uniform(0, 0.5))
            tape.remote(library.music(seconds, random) * float(random.uniform(0.3, 1.0)))
        elif draw < 0.1:
            tape.wait(random.uniform(0.1, 0.8))
            tape.play(signals.sit(random))
        beep = laws.beep
        prompt_speakers = library.speakers("machine", "fragment")
        if draw < 0.24 and prompt_speakers:
            kind, beep, clip = "prompt", 0.5, self._prompt(tape, random, str(random.choice(prompt_speakers)))
        elif draw < 0.62 and library.by_kind["machine"]:
            kind = "greeting"
            clip, speech = library.pick("machine", random)
            first = True
            if random.random() < 0.14 and clip.speaker in library.by_kind["live"]:
                _, hello = library.pick("live", random, clip.speaker)
                tape.say(self._start(tape, self._vary(hello, factor), random))
                tape.wait(laws.pause(random) * 0.7)
                first = False
            speech = self._vary(self._paced(speech, random, laws.pause, 0.5), factor)
            tape.say(self._start(tape, speech, random) if first else speech)
            if tape.turn_end - tape.first_word < 3.0 * SAMPLE_RATE and random.random() < 0.5:
                tape.wait(laws.pause(random))
                tape.say(self._vary(library.pick("machine", random, clip.speaker)[1], factor))
        else:
            kind = "monologue"
            clip, speech = self._read("speech", random)
            if random.random() < 0.2:
                speech = self._word(speech, random)
            tape.say(self._start(tape, self._vary(speech, factor), random))
            length = random.uniform(3.2, 9.0) if laws.mixed else 3.5 + random.gamma(2.0, 1.2)
            pieces = 1
            # One piece and then silence would be a person, whatever its length.
            while pieces < 2 or tape.turn_end - tape.first_word < length * SAMPLE_RATE:
                tape.wait(laws.pause(random))
                if tape.at >= len(tape.voice):
                    break
                _, speech = self._read("speech", random, clip.speaker)
                tape.say(self._vary(speech, factor))
                pieces += 1
        if random.random() < beep:
            tape.wait(laws.before_beep(random))
            sound, _ = signals.beep(random)
            if tape.at + len(sound) < len(tape.local):
                tape.beep = tape.at
            tape.play(sound)
        return kind, _voice(clip)

    def _prompt(self, tape: Tape, random: Random, speaker: str) -> Clip:
        """A PBX voice: a sentence or two, or the assembled 'the person at extension … is unavailable'."""
        library = self.library
        pieces = library.pieces(speaker)
        clip, speech = library.pick("machine", random, speaker)
        if random.random() < 0.45 and len(pieces) > 6:
            names = sorted(pieces)
            digits = [n for n in names if n.isdigit()] or names
            before = [n for n in names if "person" in n or "extension" in n or "number" in n] or names
            after = [n for n in names if "unavail" in n or "onphone" in n or "isun" in n or "isonphone" in n] or names
            order = [before[random.integers(len(before))]]
            order += [digits[random.integers(len(digits))] for _ in range(random.integers(2, 6))]
            order += [after[random.integers(len(after))]]
            for index, name in enumerate(order):
                tape.say(self._start(tape, pieces[name], random) if index == 0 else pieces[name])
                tape.wait(random.uniform(0.0, 0.15))
            tape.wait(self.laws.pause(random) * 0.6)
            tape.say(speech)
            return clip
        tape.say(self._start(tape, speech, random))
        while random.random() < 0.55 and tape.at < len(tape.voice):
            tape.wait(self.laws.pause(random))
            tape.say(library.pick("machine", random, speaker)[1])
        return clip

    def _fax(self, tape: Tape, random: Random) -> tuple[str, str]:
        kind = "fax"
        if random.random() < 0.15 and self.library.by_kind["machine"]:
            _, speech = self.library.pick("machine", random)
            tape.wait(random.uniform(0.1, 1.0))
            tape.say(speech.cut(0, int(random.uniform(1.5, 6.0) * SAMPLE_RATE)))
            tape.wait(self.laws.before_tones(random))
            kind = "fax switch"
        else:
            tape.wait(random.uniform(0.0, 2.2))
        # A switch that answered with a prompt was called: nobody sends the calling tone after one.
        tape.play(signals.fax(random, self.laws.seconds, called=kind == "fax switch"))
        return kind, "none"

    def _unknown(self, tape: Tape, random: Random) -> tuple[str, str]:
        draw, left = random.random(), self.laws.seconds
        if draw < 0.34:
            return "silence", "none"
        if draw < 0.66:
            tape.wait(random.uniform(0, 1.5))
            tape.play(signals.progress(random, left))
            return "progress", "none"
        if draw < 0.92:
            tape.wait(random.uniform(0, 1.0))
            tape.remote(self.library.music(left, random))
            return "music", "none"
        if draw < 0.96:
            tape.wait(random.uniform(0.2, 3.0))
            tape.play(signals.dtmf("".join(random.choice(list("0123456789*#"), random.integers(1, 8)))))
            return "dtmf", "none"
        for _ in range(random.integers(1, 6)):
            tape.wait(random.uniform(0.1, 1.5))
            self._click(tape, random)
        return "clicks", "none"


def _voice(clip: Clip) -> str:
    if clip.source.startswith("asterisk"):
        return "prompt"
    return "synthetic" if clip.synthetic else "human"


def _fields(line: Channel) -> dict[str, Any]:
    return {name: getattr(line, name) for name in Channel.__slots__}


def _ms(sample: int) -> int:
    return -1 if sample < 0 else round(sample * 1_000 / SAMPLE_RATE)


def _frames(flags: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Per 20 ms frame (centred on its hop's start, as the features are): more than a quarter of it."""
    padded = np.concatenate((np.zeros(HOP_SAMPLES, np.bool_), flags))
    halves = padded[: len(padded) // HOP_SAMPLES * HOP_SAMPLES].reshape(-1, HOP_SAMPLES).mean(axis=1)
    return np.asarray((halves[:-1] + halves[1:]) > 0.5, dtype=np.bool_)


def _ticks(flags: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return np.asarray(flags[: len(flags) // TICK_SAMPLES * TICK_SAMPLES].reshape(-1, TICK_SAMPLES).mean(axis=1) > 0.3)
