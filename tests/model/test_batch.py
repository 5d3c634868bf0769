"""The batch engine: many streams at once must hear exactly what each would hear alone."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from amd_model.detector.checkpoint import LoadedModel
from amd_model.detector.detector import Detector
from amd_model.detector.network import AmdNet
from amd_model.detector.spec import ModelSpec
from amd_model.verdict import AmdEvent, AmdOptions, EventKind
from amd_model.worker.batch import CHUNK, GROWTH, MAX_TICKS_A_RUN, TICK_BYTES, Analysis, BatchEngine

pytestmark = pytest.mark.model

LONG = AmdOptions(total_timeout_ms=59_000, initial_silence_ms=20_000)


def random_model(seed: int = 3) -> LoadedModel:
    torch.manual_seed(seed)
    spec = ModelSpec()
    return LoadedModel(spec, AmdNet(spec).eval(), f"random-{seed}")


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """As in the worker; torch's threads would only fight over the cores that the test has."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def model() -> LoadedModel:
    return random_model()


def noise(seed: int, ticks: int) -> bytes:
    """Audio whose level jumps about, so that a decision has something to go by."""
    rng = np.random.default_rng(seed)
    level = np.repeat(rng.choice([0, 30, 3_000], ticks), TICK_BYTES // 2)
    samples = (rng.standard_normal(level.size) * level).clip(-32_768, 32_767).astype("<i2")
    return bytes(samples.tobytes())


def opened(engine: BatchEngine, options: AmdOptions = LONG) -> Analysis:
    analysis = engine.open()
    assert analysis is not None
    analysis.options = options
    return analysis


def test_many_streams_at_once_are_each_as_if_alone(model: LoadedModel) -> None:
    engine = BatchEngine(model, CHUNK + 50)
    options = AmdOptions(total_timeout_ms=1_500)
    streams = [opened(engine, options) for _ in range(CHUNK + 50)]
    told: dict[Analysis, list[AmdEvent]] = {stream: [] for stream in streams}
    for tick in range(16):
        for seed, stream in enumerate(streams):
            stream.audio += noise(seed, 16)[tick * TICK_BYTES : (tick + 1) * TICK_BYTES]
        for stream, events in engine.run(streams)[0]:
            told[stream] += events
    for seed in (0, 1, 77, CHUNK - 1, CHUNK, CHUNK + 49):
        alone = Detector(model, options)
        expected = alone.feed(noise(seed, 16))
        (heard,) = told[streams[seed]]
        (said,) = expected
        assert (heard.kind, heard.at_ms, heard.result) == (EventKind.VERDICT, said.at_ms, said.result)
        assert heard.confidence == pytest.approx(said.confidence, abs=1e-4)


@settings(max_examples=15, deadline=None)
@given(cuts=st.lists(st.integers(0, 8 * TICK_BYTES), max_size=20), seed=st.integers(0, 5))
def test_the_answer_does_not_depend_on_how_the_bytes_came(cuts: list[int], seed: int) -> None:
    model = random_model()
    audio = noise(seed, 8)
    whole = Detector(model, LONG)
    whole.feed(audio)
    engine = BatchEngine(model, 4)
    stream = opened(engine)
    edges = [0, *sorted(cuts), len(audio)]
    for start, end in itertools.pairwise(edges):
        stream.audio += audio[start:end]
        while stream.due:
            engine.run([stream])
    assert stream.ticks == 8
    assert stream.state.posterior == pytest.approx(whole.posterior, abs=1e-5)


def test_no_more_streams_than_there_are_places(model: LoadedModel) -> None:
    engine = BatchEngine(model, GROWTH + 2)
    streams = [opened(engine) for _ in range(GROWTH + 2)]
    assert engine.open() is None
    assert engine.streams == GROWTH + 2
    assert len({stream.row for stream in streams}) == GROWTH + 2
    engine.close(streams[5])
    assert streams[5].finished
    assert engine.streams == GROWTH + 1
    assert opened(engine).row == streams[5].row


def test_a_place_that_is_used_again_remembers_nothing(model: LoadedModel) -> None:
    engine = BatchEngine(model, 1)
    first = opened(engine)
    first.audio += noise(1, 4)
    engine.run([first])
    engine.close(first)
    second = opened(engine)
    second.audio += noise(2, 4)
    engine.run([second])
    fresh = Detector(model, LONG)
    fresh.feed(noise(2, 4))
    assert second.state.posterior == pytest.approx(fresh.posterior, abs=1e-5)


def test_a_stream_that_fell_behind_catches_up_over_several_runs(model: LoadedModel) -> None:
    engine = BatchEngine(model, 2)
    behind, punctual = opened(engine), opened(engine)
    behind.audio += noise(1, 10)
    punctual.audio += noise(2, 1)
    assert engine.run([behind, punctual])[1] == MAX_TICKS_A_RUN + 1
    assert (behind.ticks, punctual.ticks) == (MAX_TICKS_A_RUN, 1)
    engine.run([behind])
    engine.run([behind])
    assert behind.ticks == 10
    assert not behind.due
    assert engine.run([behind]) == ([], 0)


def test_after_the_last_event_a_stream_costs_nothing(model: LoadedModel) -> None:
    engine = BatchEngine(model, 1)
    stream = opened(engine, AmdOptions(total_timeout_ms=500))
    stream.audio += noise(1, 8)
    told = engine.run([stream])[0] + engine.run([stream])[0]
    assert [len(events) for _, events in told] == [1]
    assert stream.finished
    assert stream.ticks <= 5
    assert stream.due
    assert engine.run([stream]) == ([], 0)


def test_warming_up_tells_how_long_a_full_batch_takes(model: LoadedModel) -> None:
    assert 0.0 < BatchEngine(model, 1).warm_up() < 5.0


# --- a shadow beside it ------------------------------------------------------------------------------------------


def test_a_shadow_hears_the_same_and_changes_nothing(model: LoadedModel) -> None:
    options = AmdOptions(total_timeout_ms=1_000)
    other = random_model(9)
    engine = BatchEngine(model, CHUNK + 5, shadow=other)
    streams = [opened(engine, options) for _ in range(CHUNK + 5)]
    for seed, stream in enumerate(streams):
        stream.audio += noise(seed, 10)
    told: dict[Analysis, list[AmdEvent]] = {}
    for _ in range(3):
        told.update(engine.run(streams)[0])
    for seed in (0, 3, CHUNK + 4):
        serving, beside = Detector(model, options), Detector(other, options)
        (said,) = serving.feed(noise(seed, 10))
        (heard,) = told[streams[seed]]
        assert (heard.result, heard.at_ms) == (said.result, said.at_ms)
        thought = next(iter(beside.feed(noise(seed, 10)[: said.at_ms * 16])), None)
        comparison = engine.compare(streams[seed], heard)
        assert comparison is not None
        assert (comparison.result, comparison.version, comparison.shadow_version) == (
            said.result,
            "random-3",
            "random-9",
        )
        assert comparison.shadow_confidence == pytest.approx(
            max(beside.posterior) if thought is None else thought.confidence, abs=1e-4
        )
        assert comparison.shadow_at_ms == (None if thought is None else thought.at_ms)
        assert comparison.agree == (comparison.result is comparison.shadow_result)


def test_a_shadow_forgets_with_the_place(model: LoadedModel) -> None:
    engine = BatchEngine(model, 1, shadow=random_model(9))
    for seed in (1, 2):
        stream = opened(engine)
        stream.audio += noise(seed, 4)
        engine.run([stream])
        alone = Detector(random_model(9), LONG)
        alone.feed(noise(seed, 4))
        assert stream.opinion is not None
        assert stream.opinion.state.posterior == pytest.approx(alone.posterior, abs=1e-5)
        engine.close(stream)


def test_without_a_shadow_there_is_nothing_to_compare(model: LoadedModel) -> None:
    engine = BatchEngine(model, 1)
    assert engine.compare(opened(engine), AmdEvent(EventKind.VERDICT, 100)) is None
