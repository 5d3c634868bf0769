"""The spec's own arithmetic, and its way to JSON and back."""

import pytest

from amd_model.detector import spec
from amd_model.detector.spec import ModelSpec

pytestmark = pytest.mark.unit


def test_outputs_tile_the_row():
    assert spec.POSTERIOR.start == 0
    assert spec.POSTERIOR.stop == spec.SPEECH.start
    assert spec.SPEECH.stop == spec.TONE
    assert spec.TONE + 1 == spec.MEASURES.start == spec.NET_OUTPUTS
    assert spec.MEASURES.stop == spec.OUTPUTS


def test_a_stream_fits_its_budget():
    assert ModelSpec().state_size * 4 <= 8_192


def test_json_round_trip():
    shape = ModelSpec(hidden=96)
    assert ModelSpec.from_json(shape.to_json()) == shape


@pytest.mark.parametrize(
    ("change", "word"),
    [({"hidden": 0}, "hidden"), ({"hidden": "x"}, "hidden"), ({"hidden": True}, "hidden"), ({"extra": 1}, "extra")],
)
def test_bad_json_names_the_field(change, word):
    with pytest.raises(ValueError, match=word):
        ModelSpec.from_json({**ModelSpec().to_json(), **change})
