"""Posterior stream → events: when to say what, and why. Pure Python, no torch, a few microseconds a tick.

The network says how likely each class is given what was heard so far; the rules here only turn that into
*when*: a verdict as soon as the risk allows (``amd_model.detector.policy``), tones that leave no doubt at once,
silence and time limits from the call's options. ``DecisionState`` is one stream's memory, changed in place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from amd_model.detector.evidence import TELLING, WordEvidence, weighed
from amd_model.detector.looks import HOLD_MS, Looks
from amd_model.detector.policy import Policy
from amd_model.detector.spec import (
    CLASSES,
    FRAMES_PER_TICK,
    HOP_MS,
    MEASURES,
    NET_OUTPUTS,
    SPEECH,
    TICK_MS,
    TONE,
)
from amd_model.detector.tones import Tone, ToneKind
from amd_model.detector.tracker import ToneTracker
from amd_model.verdict import AmdEvent, AmdOptions, Answerer, EventKind, Mode, Reason, Verdict

assert CLASSES == (Verdict.LIVE_PERSON, Verdict.ANSWERING_MACHINE, Verdict.FAX, Verdict.UNKNOWN)

_SPEECH_ENTER, _SPEECH_STAY = 0.6, 0.35
_SPEECH_FRAMES = 3  # 60 ms: shorter is a click
_FAINT, _FAINT_MS = 0.3, 100  # words that noise nearly covers: believed late, and only with the classes' word for it
_PHRASE_MS = 2_500  # a machine known before it has spoken this long was known by what it said
_BEFORE_BEEP_MS = 500
_BELIEVED = 0.25  # a note of music behind somebody who may be a person is no beep
_SOMEBODY = 0.8  # a person's and a machine's probability together
_MESSAGE_SILENCE_MS = 3_000  # after a greeting that ends without a beep
_CORRECTION_TICKS = 10
_PLAIN = 0.97  # a person this surely heard is told without waiting for a look at the words


class DecisionState:
    """One stream's memory: what was spoken and when, the tones, what has been told."""

    __slots__ = (
        "_speaking",
        "_speech_run",
        "beep",
        "correction_ticks",
        "done",
        "faint_ms",
        "first_speech_ms",
        "last_faint_ms",
        "last_speech_ms",
        "look_asked_ms",
        "looks",
        "policy",
        "posterior",
        "progress",
        "speech_ms",
        "tones",
        "verdict",
        "verdict_ms",
        "version",
        "words",
    )

    def __init__(self, policy: Policy | None = None, version: str = "") -> None:
        self.policy = policy if policy is not None else Policy()
        self.version = version
        self.tones = ToneTracker()
        self.posterior: tuple[float, float, float, float] = (0.25, 0.25, 0.25, 0.25)
        self.first_speech_ms = -1
        self.last_speech_ms = -1
        self.faint_ms = 0
        self.last_faint_ms = -1
        self.speech_ms = 0
        self.progress = 0
        self.beep: Tone | None = None
        self.verdict: Verdict | None = None
        self.verdict_ms = 0
        self.correction_ticks = 0
        self.done = False
        self.looks: Looks | None = None
        """What was asked of the words; None where nobody reads them."""
        self.look_asked_ms = -1
        """When the look under way was asked for; -1 for none."""
        self.words: WordEvidence | None = None
        self._speaking = False
        self._speech_run = 0

    def look(self, now: int) -> bool:
        """Whether the words should be looked at now, at a tick's end; if so the look counts as under way."""
        if self.looks is None or self.verdict is not None or self.look_asked_ms >= 0:
            return False
        if not self.looks.due(self.first_speech_ms, self.last_speech_ms, self.speech_ms, now):
            return False
        self.look_asked_ms = now
        return True

    def looked(self, words: WordEvidence | None) -> None:
        """A look came back; None for one that brought nothing: too late, too many, nothing understood."""
        self.look_asked_ms = -1
        if words is not None:
            self.words = words

    def awaits_words(self, now: int) -> bool:
        """Whether a look is under way that may still change what would be said of a person now."""
        return self.look_asked_ms >= 0 and now - self.look_asked_ms <= HOLD_MS

    @property
    def after_speech(self) -> bool:
        """Enough was said for a tone to be a beep: a connect click and a ring's tail come before anything is."""
        return self.speech_ms >= _BEFORE_BEEP_MS

    def is_beep(self, tone: Tone) -> bool:
        """A beep, or a single tone that would be call progress or a calling fax if no greeting had come before."""
        alike = tone.kind in (ToneKind.PROGRESS, ToneKind.CNG) and not tone.second_hz
        return tone.kind is ToneKind.BEEP or (alike and tone.beeplike and self.after_speech)

    def hear(self, speech: Sequence[float], start_ms: int) -> None:
        """Speech probabilities of one tick's frames → when speech began and ended (hysteresis, no clicks)."""
        # Nearly every tick is all silence or all speech: those two need no look at each frame.
        if max(speech) < _FAINT:
            self._speaking = False
            self._speech_run = 0
            return
        if self._speaking and min(speech) >= _SPEECH_STAY:
            spoken_ms = len(speech) * HOP_MS
            self._speech_run += len(speech)
            self.faint_ms += spoken_ms
            self.speech_ms += spoken_ms
            self.last_faint_ms = self.last_speech_ms = start_ms + spoken_ms
            return
        now = start_ms
        for probability in speech:
            now += HOP_MS
            if probability >= _FAINT:
                self.faint_ms += HOP_MS
                self.last_faint_ms = now
            if probability >= (_SPEECH_STAY if self._speaking else _SPEECH_ENTER):
                self._speech_run += 1
                if self._speaking:
                    self.speech_ms += HOP_MS
                    self.last_speech_ms = now
                elif self._speech_run >= _SPEECH_FRAMES:
                    self._speaking = True
                    self.speech_ms += self._speech_run * HOP_MS
                    self.last_speech_ms = now
                    if self.first_speech_ms < 0:
                        self.first_speech_ms = now - self._speech_run * HOP_MS
            else:
                self._speaking = False
                self._speech_run = 0

    def believe_faint(self) -> None:
        """Take for speech what was too faint for it, where nothing better was heard and there was enough."""
        if self.first_speech_ms < 0 and self.faint_ms >= _FAINT_MS:
            self.first_speech_ms = self.last_faint_ms - self.faint_ms
            self.last_speech_ms, self.speech_ms = self.last_faint_ms, self.faint_ms


def decide(
    state: DecisionState, outputs: Sequence[float], options: AmdOptions, tick_index: int
) -> tuple[DecisionState, list[AmdEvent]]:
    """One tick (the ``OUTPUTS`` floats of ``spec``) → the state and what there is to tell, in time order.

    The measures may be left out (``NET_OUTPUTS`` floats) where ``state.tones`` is idle and no tone may begin.

    ``tick_index`` counts from 0. After ``state.done`` nothing more is told. ``AmdEvent.at_ms`` is the end of
    the tick, except for a beep, where it is the beep's end (``beep_ms`` is its start).
    """
    if state.done:
        return state, []
    now = (tick_index + 1) * TICK_MS
    state.hear(outputs[SPEECH], now - TICK_MS)
    live, machine, fax, unknown = outputs[0:4]
    if options.sensitivity != 1.0:
        machine *= options.sensitivity
        scale = 1.0 / (live + machine + fax + unknown)
        live, machine, fax, unknown = live * scale, machine * scale, fax * scale, unknown * scale
    state.posterior = (live, machine, fax, unknown)
    if state.words is not None:
        state.posterior = weighed(state.posterior, state.words, state.last_speech_ms)
    if len(outputs) > NET_OUTPUTS:
        tones = state.tones.feed(outputs[MEASURES], outputs[SPEECH], outputs[TONE])
    else:
        tones = []
        state.tones.skip()
    if state.verdict is None:
        events = _first_verdict(state, tones, options, now)
        if events and not options.transcript:
            events = [replace(event, transcript=None) for event in events]
        if events and (options.mode is Mode.FAST or state.verdict is not Verdict.ANSWERING_MACHINE):
            state.done = True
        return state, events
    return state, _message_end(state, tones, options, now)


def finish(state: DecisionState, options: AmdOptions, now_ms: int) -> tuple[DecisionState, list[AmdEvent]]:
    """The audio ended at ``now_ms``: the likeliest verdict if none was told, and a beep that was sounding."""
    if state.done:
        return state, []
    events: list[AmdEvent] = []
    tones = state.tones.finish()
    if state.verdict is None:
        events = _first_verdict(state, tones, options, now_ms)
    if state.verdict is None:
        events = [_likeliest(state, now_ms, Reason.TIMEOUT)]
    elif not events:
        events = _message_end(state, tones, options, now_ms)
    state.done = True
    return state, events


def _first_verdict(state: DecisionState, tones: list[Tone], options: AmdOptions, now: int) -> list[AmdEvent]:
    policy = state.policy
    live, machine, fax, unknown = state.posterior
    if now >= options.initial_silence_ms and live + machine >= _SOMEBODY:
        state.believe_faint()
    spoken = state.first_speech_ms >= 0
    silence = now - state.last_speech_ms if spoken else now
    for tone in tones:
        if tone.kind.is_fax and not (tone.kind is ToneKind.CNG and state.after_speech):
            return [_tell(state, Verdict.FAX, max(fax, 0.99), Reason.FAX_TONE, now)]
        if tone.kind is ToneKind.PROGRESS and not state.after_speech:
            state.progress += 1
        elif state.is_beep(tone) and state.after_speech and machine >= max(live, _BELIEVED):
            state.beep = tone
            verdict = _tell(state, Verdict.ANSWERING_MACHINE, max(machine, 0.97), Reason.BEEP, now)
            if options.mode is Mode.FAST:
                return [verdict]
            state.done = True
            return [verdict, _beep(state, tone)]
    if fax >= policy.fax and now >= 800:
        return [_tell(state, Verdict.FAX, fax, Reason.FAX_TONE, now)]
    if spoken:
        waited = silence >= policy.live_silence_ms and (live >= _PLAIN or not state.awaits_words(now))
        if waited and live >= policy.live_demand(options, silence, state.speech_ms):
            return [_tell(state, Verdict.LIVE_PERSON, live, _why(state, Verdict.LIVE_PERSON), now)]
        if machine >= policy.machine_demand(options, silence):
            return [_tell(state, Verdict.ANSWERING_MACHINE, machine, _why(state, Verdict.ANSWERING_MACHINE), now)]
    if now >= options.initial_silence_ms and not state.tones.active:
        reason = Reason.RINGBACK if state.progress else Reason.NO_SPEECH
        if unknown >= policy.unknown or (not spoken and unknown >= max(live, machine, fax)):
            return [_tell(state, Verdict.UNKNOWN, unknown, reason, now)]
    if now >= options.total_timeout_ms:
        return [_likeliest(state, now, Reason.TIMEOUT)]
    return []


def _message_end(state: DecisionState, tones: list[Tone], options: AmdOptions, now: int) -> list[AmdEvent]:
    """After a machine's verdict, until its beep, its lasting silence, or the limit."""
    for tone in tones:
        if state.is_beep(tone):
            state.beep = tone
            state.done = True
            return [_beep(state, tone)]
        if tone.kind.is_fax and tone.kind is not ToneKind.CNG:  # a fax switch that spoke first
            state.done = True
            confidence = max(state.posterior[2], 0.99)
            return [_tell(state, Verdict.FAX, confidence, Reason.FAX_TONE, now, EventKind.CORRECTION)]
    live = state.posterior[0]
    state.correction_ticks = state.correction_ticks + 1 if live >= 0.98 else 0
    if state.correction_ticks >= _CORRECTION_TICKS:
        state.done = True
        return [_tell(state, Verdict.LIVE_PERSON, live, Reason.SHORT_GREETING, now, EventKind.CORRECTION)]
    quiet = now - max(state.last_speech_ms, state.verdict_ms if state.last_speech_ms < 0 else 0)
    if not state.tones.active and (
        quiet >= max(_MESSAGE_SILENCE_MS, options.after_greeting_silence_ms)
        or now - state.verdict_ms >= options.message_end_timeout_ms
    ):
        state.done = True
        return [
            AmdEvent(
                EventKind.GREETING_END,
                now,
                result=Verdict.ANSWERING_MACHINE,
                confidence=state.posterior[1],
                greeting_end_ms=_greeting_end(state),
                model_version=state.version,
            )
        ]
    return []


def _why(state: DecisionState, verdict: Verdict) -> Reason:
    """What spoke for the verdict: the words where they were heard and told, else how long somebody spoke."""
    live = verdict is Verdict.LIVE_PERSON
    if state.words is not None:
        odds = state.words.log_odds(state.last_speech_ms)
        if (odds if live else -odds) >= TELLING:
            return Reason.PHRASE
    if live:
        return Reason.SHORT_GREETING
    return Reason.LONG_GREETING if state.speech_ms >= _PHRASE_MS else Reason.PHRASE


def _likeliest(state: DecisionState, now: int, reason: Reason) -> AmdEvent:
    """No threshold was reached in time: the largest probability, but nobody is a person who never spoke."""
    best = max(range(len(CLASSES)), key=state.posterior.__getitem__)
    verdict = CLASSES[best]
    if state.first_speech_ms < 0 and verdict is Verdict.LIVE_PERSON:
        verdict, reason = Verdict.UNKNOWN, Reason.NO_SPEECH
        best = 3
    return _tell(state, verdict, state.posterior[best], reason, now)


def _tell(
    state: DecisionState,
    verdict: Verdict,
    confidence: float,
    reason: Reason,
    now: int,
    kind: EventKind = EventKind.VERDICT,
) -> AmdEvent:
    state.verdict, state.verdict_ms = verdict, now
    return AmdEvent(
        kind,
        now,
        result=verdict,
        confidence=min(1.0, confidence),
        reason=reason,
        greeting_end_ms=_greeting_end(state) if verdict is Verdict.LIVE_PERSON else None,
        beep_ms=state.beep.start_ms if state.beep else None,
        model_version=state.version,
        answerer=_answerer(state, verdict, reason),
        language=state.words.language or None if state.words else None,
        transcript=state.words.text or None if state.words else None,
    )


def _answerer(state: DecisionState, verdict: Verdict, reason: Reason) -> Answerer | None:
    """Who or what answered, closer than the verdict; None where neither words nor tones tell."""
    match verdict, reason:
        case Verdict.FAX, _:
            return Answerer.FAX
        case Verdict.UNKNOWN, Reason.RINGBACK:
            return Answerer.LINE_TONE
        case Verdict.UNKNOWN, Reason.NO_SPEECH:
            return Answerer.SILENCE
        case Verdict.LIVE_PERSON | Verdict.ANSWERING_MACHINE, _ if state.words is not None:
            return state.words.closest(live=verdict is Verdict.LIVE_PERSON)
    return None


def _beep(state: DecisionState, tone: Tone) -> AmdEvent:
    return AmdEvent(
        EventKind.BEEP,
        tone.end_ms,
        result=Verdict.ANSWERING_MACHINE,
        confidence=state.posterior[1],
        reason=Reason.BEEP,
        greeting_end_ms=_greeting_end(state),
        beep_ms=tone.start_ms,
        frequency_hz=tone.frequency_hz,
        model_version=state.version,
    )


def _greeting_end(state: DecisionState) -> int | None:
    return state.last_speech_ms if state.first_speech_ms >= 0 else None


assert HOP_MS * FRAMES_PER_TICK == TICK_MS
