"""The spelling loss: connectionist temporal classification over the frames in which words are."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from amd_model.detector.spec import FRAMES_PER_TICK
from tests.unit.training import sounds
from training.composition import tape as tapes
from training.composition.compose import Composer
from training.composition.dataset import load_clips, pack
from training.composition.laws import TRAIN
from training.composition.library import Library
from training.composition.tape import Speech
from training.corpus.phones import PHONES
from training.learning.batches import batch_of
from training.learning.spelling import LATE_FRAMES, Spelling

pytestmark = pytest.mark.unit


def _collapsed(path: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sign for sign, _ in itertools.groupby(path) if sign)


def test_the_loss_is_the_mean_over_all_alignments() -> None:
    torch.manual_seed(1)
    spelling = Spelling(3)
    evidence = torch.randn(2, 3, 3)
    told = spelling(evidence).detach()
    assert told.shape == (2, 15, len(PHONES) + 1)
    torch.testing.assert_close(told.exp().sum(-1), torch.ones(2, 15))
    # Frames 12 to 15 of the second answer say phones 2, 1 (there are no later ones than 15).
    spans = torch.tensor([[[0, 0]], [[12, 13]]])
    phones = torch.tensor([[[0, 0]], [[2, 1]]])
    heard = told[1, 12 : min(13 + LATE_FRAMES, 15)]
    every = [
        sum(float(heard[frame, sign]) for frame, sign in enumerate(path))
        for path in itertools.product((0, 1, 2), repeat=len(heard))
        if _collapsed(path) == (2, 1)
    ]
    wanted = -math.log(sum(math.exp(one) for one in every)) / 2
    assert spelling.loss(evidence, spans, phones).item() == pytest.approx(wanted, rel=1e-5)


def test_nothing_to_spell_costs_nothing() -> None:
    evidence = torch.randn(2, 3, 4, requires_grad=True)
    loss = Spelling(4).loss(evidence, torch.zeros(2, 6, 2, dtype=torch.long), torch.zeros(2, 6, 9, dtype=torch.long))
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == 0.0
    assert evidence.grad is not None
    assert not evidence.grad.any()


def test_it_learns_what_is_said_without_being_told_when() -> None:
    torch.manual_seed(2)
    spelling = Spelling(8)
    optimiser = torch.optim.Adam(spelling.parameters(), lr=0.05)
    spans, phones = torch.tensor([[[0, 25]]] * 4), torch.tensor([[[3, 7, 3]]] * 4)
    evidence = torch.nn.functional.one_hot(torch.tensor([0, 1, 2, 3, 4] * 4).view(4, 5), 8).float()
    losses = []
    for _ in range(300):
        loss = spelling.loss(evidence, spans, phones)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 < losses[0]
    assert _collapsed(tuple(spelling(evidence)[0].argmax(-1).tolist())) == (3, 7, 3)


def _word(seconds: float) -> np.ndarray:
    return sounds.voice(seconds, 3, 150)


def test_a_tape_knows_what_is_said_where() -> None:
    tape = tapes.Tape(3.0)
    tape.wait(0.5)
    tape.say(Speech(_word(1.0), (1, 2, 3)))
    tape.wait(0.2)
    tape.say(Speech(_word(0.5)))
    tape.say(Speech(_word(4.0), tuple(range(1, 31))))
    (begin, end, phones), (late, last, few) = tape.spelt
    assert (begin, phones) == (4_000, (1, 2, 3))
    assert 0.8 <= (end - begin) / 8_000 <= 1.1
    assert last == 24_000
    # Of what runs over the tape's end about the share that is heard, and rather too little.
    heard = (last - late) / 32_000 * 30
    assert few == tuple(range(1, 1 + len(few)))
    assert heard - 7 <= len(few) <= heard


def test_what_is_cut_is_not_spelt() -> None:
    speech = Speech(_word(1.0), (1, 2))
    assert speech.cut(0, 8_000) is speech
    assert speech.cut(100).phones == () == speech.cut(0, 4_000).phones
    assert speech.changed(lambda audio: audio[::2]).phones == (1, 2)


def test_a_batch_that_begins_later_leaves_out_what_began_before(tmp_path) -> None:  # type: ignore[no-untyped-def]
    composer = Composer(Library(load_clips([sounds.make(tmp_path)]), "train"), TRAIN, 5)
    found = [composer.case(index) for index in range(4)]
    for case in found:
        case.spelt = [(8, 60, (4, 5)), (100, 160, (6,) * 500), (200, 260, (7, 7, 8))]
    data = pack(found)
    assert data.spans[0, :3].tolist() == [[8, 60], [200, 260], [0, 0]], "a span of too many phones is left out"
    whole = batch_of(data, np.arange(4), torch.device("cpu"), None)
    assert whole["phones"][0, :2].tolist() == [[4, 5, 0], [7, 7, 8]]
    for seed in range(40):
        batch = batch_of(data, np.arange(4), torch.device("cpu"), np.random.default_rng(seed))
        cut = data.features.shape[1] - batch["features"].shape[1]
        assert cut % FRAMES_PER_TICK == 0
        assert batch["spans"][0, 1].tolist() == [200 - cut, 260 - cut]
        assert bool(batch["phones"][0, 0].any()) == (cut <= 8)
