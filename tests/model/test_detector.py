"""One stream end to end with the shipped weights, on the recordings that the demo plays."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

import fsbridge.simulator
from amd_model.detector.checkpoint import load
from amd_model.detector.detector import Detector
from amd_model.evaluation.files import to_pcm
from amd_model.verdict import AmdOptions, EventKind, Mode, Reason, Verdict
from training.telephone import signals

pytestmark = pytest.mark.model

CLIPS = Path(fsbridge.simulator.__file__).parent / "audio"


@pytest.fixture(scope="module")
def model():
    return load()


def clip(name, before=0.6, after=3.0):
    audio, rate = soundfile.read(CLIPS / f"{name}.flac", dtype="float32")
    assert rate == 8_000
    return np.concatenate((signals.silence(before), audio, signals.silence(after)))


def events(model, audio, chunk=1_600, **options):
    detector, pcm, found = Detector(model, AmdOptions(**options)), to_pcm(audio), []
    for at in range(0, len(pcm), chunk):
        found += detector.feed(pcm[at : at + chunk])
    return found + detector.finish()


@pytest.mark.parametrize("name", ["person-amelia", "person-hello", "person-pronto"])
def test_people(model, name):
    (event,) = events(model, clip(name))
    assert (event.kind, event.result) == (EventKind.VERDICT, Verdict.LIVE_PERSON)
    assert event.at_ms <= 2_600
    assert event.model_version == model.version


@pytest.mark.parametrize("name", ["machine-extension", "machine-reader", "machine-segreteria"])
def test_machines_and_their_beep(model, name):
    greeting = clip(name, after=0.6)
    beep = signals.tone((850.0,), 0.4)
    told = events(model, np.concatenate((greeting, beep, signals.silence(1.0))), mode=Mode.MESSAGE_END)
    assert told[0].result is Verdict.ANSWERING_MACHINE
    assert told[-1].beep_ms == pytest.approx(len(greeting) / 8, abs=80)
    assert told[-1].frequency_hz == pytest.approx(850, abs=5) or told[0].reason is Reason.BEEP


def test_fax_silence_and_ringback(model):
    random = np.random.default_rng(1)
    fax = np.concatenate((signals.silence(0.5), signals.ced(random, 3.0)))
    assert events(model, fax)[0].result is Verdict.FAX
    quiet = random.standard_normal(48_000).astype(np.float32) * 0.0005
    (event,) = events(model, quiet)
    assert (event.result, event.reason, event.at_ms) == (Verdict.UNKNOWN, Reason.NO_SPEECH, 4_500)
    ring = signals.cadence((440.0, 480.0), (2.0, 4.0), 10.0, phase=1.0)
    (event,) = events(model, ring)
    assert (event.result, event.reason) == (Verdict.UNKNOWN, Reason.RINGBACK)


@pytest.mark.parametrize("chunk", [1, 77, 320, 1_600, 10_000, 10**7])
def test_the_chunks_do_not_matter(model, chunk):
    audio = clip("person-thanks", after=1.5)
    if chunk == 1:
        audio = audio[:12_000]
    assert events(model, audio, chunk) == events(model, audio, 640)


def test_it_says_how_far_it_is(model):
    detector = Detector(model)
    assert (detector.heard_ms, detector.done) == (0, False)
    detector.feed(to_pcm(clip("person-hello")))
    assert detector.done
    assert sum(detector.posterior) == pytest.approx(1.0, abs=1e-4)
    assert detector.feed(b"\x00" * 4_000) == []
    assert detector.finish() == []
    silent = Detector(model)
    silent.feed(b"\x00" * 3_200)
    assert silent.heard_ms == 200
    (event,) = silent.finish()
    assert event.result is not Verdict.LIVE_PERSON
