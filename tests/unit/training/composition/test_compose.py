"""Composed answers carry their truth, and a seed is a seed."""

import math
from collections import Counter

import numpy as np
import pytest

from amd_model.detector.spec import SAMPLE_RATE
from amd_model.verdict import Verdict
from tests.unit.training import sounds
from training.composition import tape as tapes
from training.composition.compose import Composer
from training.composition.laws import DEV, TRAIN, Laws, draw_line
from training.composition.library import Library
from training.corpus.manifest import read

pytestmark = pytest.mark.unit


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return read(sounds.make(tmp_path_factory.mktemp("corpus")) / "manifest.tsv")


@pytest.fixture(scope="module")
def cases(clips):
    composer = Composer(Library(clips, "train"), TRAIN, 5)
    return [composer.case(index) for index in range(120)]


def test_every_class_and_many_kinds(cases):
    assert {case.label for case in cases} == set(Verdict)
    assert len({case.kind for case in cases}) >= 8
    shares = Counter(case.label for case in cases)
    assert shares[Verdict.LIVE_PERSON] > 30
    assert shares[Verdict.ANSWERING_MACHINE] > 25


def test_lengths_and_flags_agree(cases):
    for case in cases:
        assert (len(case.audio), len(case.speech), len(case.tone)) == (80_000, 500, 100)
        assert np.isfinite(case.audio).all()
        if case.first_word_ms >= 0:
            assert case.first_word_ms <= case.turn_end_ms
            frame = case.first_word_ms // 20
            assert case.speech[frame : frame + 6].any()
        else:
            assert case.label in (Verdict.FAX, Verdict.UNKNOWN)
            assert not case.speech.any()
        if case.beep_ms >= 0:
            assert case.label is Verdict.ANSWERING_MACHINE
            assert case.tone[case.beep_ms // 100 : case.beep_ms // 100 + 2].any()


def test_a_seed_is_a_seed_whatever_the_order(clips, cases):
    again = Composer(Library(clips, "train"), TRAIN, 5)
    for index in (77, 3):
        assert np.array_equal(again.case(index).audio, cases[index].audio)
    other = Composer(Library(clips, "train"), TRAIN, 6).case(3)
    assert not np.array_equal(other.audio, cases[3].audio)


def test_dev_has_other_speakers_and_other_laws(clips):
    train, dev = Library(clips, "train"), Library(clips, "dev")
    assert not set(train.speakers("speech")) & set(dev.speakers("speech"))
    case = Composer(dev, DEV, 1).case(0)
    assert len(case.audio) == int(DEV.seconds * 8_000)
    random = np.random.default_rng(0)
    for name in ("onset", "pause", "wait", "breath", "before_beep"):
        mixed = [getattr(TRAIN, name)(random) for _ in range(2_000)]
        other = [getattr(DEV, name)(random) for _ in range(2_000)]
        quantiles = np.abs(np.quantile(mixed, [0.25, 0.5, 0.9]) - np.quantile(other, [0.25, 0.5, 0.9]))
        assert quantiles.max() > 0.05, name


def test_the_line_is_drawn_without_the_label(clips):
    """The same case number gives the same line whatever the class shares make of it."""
    library = Library(clips, "train")
    people = Composer(library, Laws(mixed=True, live=1.0, machine=0.0, fax=0.0), 9)
    machines = Composer(library, Laws(mixed=True, live=0.0, machine=1.0, fax=0.0), 9)
    for index in range(10):
        person, machine = people.case(index), machines.case(index)
        assert (person.label, machine.label) == (Verdict.LIVE_PERSON, Verdict.ANSWERING_MACHINE)
        assert person.line == machine.line


def test_lines_cover_the_field():
    lines = [draw_line(TRAIN, np.random.default_rng(seed)) for seed in range(300)]
    assert {codec for line in lines for codec in line.codecs} == {"mulaw", "alaw", "gsm", "adpcm", "linear"}
    levels = [line.level_dbfs for line in lines]
    assert min(levels) < -33
    assert max(levels) > -10
    assert any(line.loss for line in lines)
    assert any(line.echo_db is not None for line in lines)


def test_a_library_without_music_makes_its_own(clips):
    library = Library([clip for clip in clips if clip.kind != "music"], "train")
    assert np.abs(library.music(1.0, np.random.default_rng(1))).max() > 0.01


def test_readers_hesitations_are_cut_to_the_laws():
    random = np.random.default_rng(5)
    word = (0.1 * np.sin(2 * np.pi * 200 * np.arange(3_200) / 8_000)).astype(np.float32)
    hiss = (1e-4 * random.standard_normal(8_000)).astype(np.float32)
    said = np.concatenate((word, hiss, word))
    assert tapes.fluent(said, math.inf) is said
    short = tapes.fluent(said, 0.45)
    assert len(short) == pytest.approx(len(said) - 0.55 * 8_000, abs=330)
    np.testing.assert_array_equal(short[:3_200], word)
    np.testing.assert_array_equal(short[-3_200:], word)


def test_silence_at_a_clips_ends_is_no_part_of_a_pause():
    word = (0.1 * np.sin(2 * np.pi * 200 * np.arange(3_200) / 8_000)).astype(np.float32)
    padded = np.concatenate((np.zeros(2_400, np.float32), word, np.zeros(2_400, np.float32)))
    tape = tapes.Tape(3.0)
    tape.say(tapes.Speech(padded))
    tape.wait(0.5)
    tape.say(tapes.Speech(padded))
    spoken = np.flatnonzero(tape.spoken)
    assert np.diff(spoken).max() / 8_000 == pytest.approx(0.5 + 2 * 0.04, abs=0.045)
    assert tape.first_word <= 0.06 * 8_000


def _two_words(gap_s):
    word = 0.2 * np.sin(np.arange(SAMPLE_RATE) * 2 * np.pi * 200 / SAMPLE_RATE).astype(np.float32)
    return np.concatenate((word, np.zeros(int(gap_s * SAMPLE_RATE), np.float32), word))


@pytest.mark.parametrize("pause", [0.3, 0.9])
def test_silences_between_words_last_as_they_are_told(pause):
    audio = tapes.paced(_two_words(0.5), [pause])
    assert len(audio) == pytest.approx((2 + pause) * SAMPLE_RATE, abs=0.05 * SAMPLE_RATE)
    assert np.abs(audio).sum() == pytest.approx(np.abs(_two_words(0.5)).sum(), rel=1e-3)


def test_short_silences_and_those_without_a_pause_stay():
    for audio, pauses in ((_two_words(0.08), [1.0]), (_two_words(0.5), [0.0]), (_two_words(0.5), [])):
        assert np.array_equal(tapes.paced(audio, pauses), audio)
