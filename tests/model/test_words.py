"""Words and sound together: the engine asks for looks, and is told by them; the real recogniser where it is there."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from amd_model.detector.checkpoint import load
from amd_model.detector.evidence import WordEvidence
from amd_model.evaluation.evaluate import Looking, events_of, rows_of
from amd_model.verdict import AmdEvent, AmdOptions, Answerer, EventKind, Heard, Reason, Verdict
from amd_model.words.choice import chosen
from amd_model.words.look import Reader
from amd_model.words.open import reader
from amd_model.worker.batch import TICK_BYTES, Analysis, BatchEngine
from fsbridge.simulator.audio.sound import AUDIO_FOLDER

pytestmark = pytest.mark.model

MACHINE = WordEvidence(0.01, 0.9, 0, machine=Answerer.CALL_SCREENING, language="en", text="Please state your name")
PERSON = WordEvidence(0.99, 0.9, 0, person=Answerer.BUSINESS, language="en", text="Fairview Dental, how can I help?")


def sound_of(name: str) -> bytes:
    samples, rate = soundfile.read(AUDIO_FOLDER / name, dtype="int16")
    assert rate == 8_000
    return bytes(samples.tobytes())


def answered(name: str, words: WordEvidence | None, options: AmdOptions, late_ticks: int = 1) -> tuple[AmdEvent, int]:
    """A greeting and then silence through the engine, each look answered with `words`: the verdict, and the looks."""
    engine = BatchEngine(load(None), 1, words=True)
    analysis = engine.open()
    assert analysis is not None
    analysis.choose(options)
    pcm = sound_of(name) + bytes(16_000 * 6)
    looks, waiting = 0, -1
    for tick, start in enumerate(range(0, len(pcm) - TICK_BYTES, TICK_BYTES)):
        if tick == waiting:
            analysis.state.looked(words)
        analysis.audio += pcm[start : start + TICK_BYTES]
        results, _ = engine.run([analysis])
        for one in engine.looks:
            assert one is analysis
            assert analysis.spoken is not None
            assert len(analysis.spoken.pcm) <= (tick + 1) * TICK_BYTES
            looks, waiting = looks + 1, tick + late_ticks
        engine.looks.clear()
        for event in (event for _, events in results for event in events):
            assert not isinstance(event, Heard)
            if event.kind is EventKind.VERDICT:
                assert analysis.spoken is None or analysis.finished
                return event, looks
    raise AssertionError("no verdict")


def test_words_of_a_machine_make_a_machine_of_a_voice_that_sounded_like_a_person() -> None:
    alone, _ = answered("person-hello.flac", None, AmdOptions())
    assert alone.result is Verdict.LIVE_PERSON
    assert (alone.answerer, alone.transcript) == (None, None)
    told, looks = answered("person-hello.flac", MACHINE, AmdOptions(transcript=True))
    assert looks >= 1
    assert told.result is Verdict.ANSWERING_MACHINE
    assert told.reason is Reason.PHRASE
    assert (told.answerer, told.language, told.transcript) == (Answerer.CALL_SCREENING, "en", "Please state your name")


def test_words_of_a_person_are_told_by_kind_and_kept_to_ourselves() -> None:
    told, _ = answered("person-thanks.flac", PERSON, AmdOptions())
    assert told.result is Verdict.LIVE_PERSON
    assert told.answerer is Answerer.BUSINESS
    assert told.transcript is None


def test_words_that_come_too_late_change_nothing() -> None:
    assert answered("person-hello.flac", MACHINE, AmdOptions(), late_ticks=99)[0].result is Verdict.LIVE_PERSON


def test_without_ears_nothing_is_kept() -> None:
    engine = BatchEngine(load(None), 1)
    analysis = engine.open()
    assert isinstance(analysis, Analysis)
    analysis.audio += sound_of("person-hello.flac")[: 10 * TICK_BYTES]
    engine.run([analysis])
    assert analysis.spoken is None
    assert engine.looks == []


@pytest.fixture(scope="module")
def real() -> Reader:
    folder, why = chosen("auto")
    if folder is None:
        pytest.skip(f"no recogniser on this machine: {why}")
    return reader(str(folder))


@pytest.mark.parametrize(
    ("name", "words"),
    [("person-thanks.flac", "thank you"), ("prompt-goodbye.flac", "goodbye"), ("machine-extension.flac", "extension")],
)
def test_the_recogniser_writes_down_what_is_said(real: Reader, name: str, words: str) -> None:
    samples = np.frombuffer(sound_of(name), "<i2").astype(np.float32) / 32_768
    found = real.look(samples, 3_000)
    assert found is not None
    assert words in found.text.lower()
    assert found.language == "en"
    assert 0.0 < found.sure <= 1.0


def test_silence_has_no_words(real: Reader) -> None:
    assert real.look(np.zeros(8_000, np.float32), 1_000) is None
    assert real.look(np.zeros(0, np.float32), 0) is None


def test_the_evaluation_looks_as_the_worker_does(real: Reader) -> None:
    samples = np.frombuffer(sound_of("person-thanks.flac"), "<i2").astype(np.float32) / 32_768
    samples = np.concatenate([samples, np.zeros(16_000, np.float32)])
    looking = Looking(real)
    model = load(None)
    events = events_of(model, rows_of(model, samples), AmdOptions(transcript=True), words=looking.at(samples))
    assert looking.looks >= 1
    assert looking.to_json(1)["cpuMsPerCall"] > 0
    verdict = next(event for event in events if event.kind is EventKind.VERDICT)
    assert verdict.result is Verdict.LIVE_PERSON
    assert "thank" in (verdict.transcript or "").lower()
