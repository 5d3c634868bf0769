"""Rows of outputs made by hand, so that decisions are tested without a network."""

from amd_model.detector.spec import FRAMES_PER_TICK, TONE_MEASURES

NO_TONE = (0.5, 0.1, 0.9, 0.05, 1.0, 0.0)


def row(live=0.25, machine=0.25, fax=0.25, unknown=0.25, speech=0.0, measures=NO_TONE, tone=0.5):
    """One tick; ``speech`` and ``measures`` are the same in each of its frames."""
    assert len(measures) == TONE_MEASURES
    return [live, machine, fax, unknown, *[speech] * FRAMES_PER_TICK, tone, *list(measures) * FRAMES_PER_TICK]


def sure(name, speech=0.0, probability=0.97, measures=NO_TONE):
    """A tick whose posterior is nearly settled on one class."""
    rest = (1 - probability) / 3
    values = dict.fromkeys(("live", "machine", "fax", "unknown"), rest)
    return row(**{**values, name: probability}, speech=speech, measures=measures)


def tone(hertz, second=0.0, level=1.5):
    """A frame's measures of a pure tone or an equal pair."""
    if second:
        return (hertz / 1_000, 0.49, second / 1_000, 0.49, level, 0.0)
    return (hertz / 1_000, 0.98, 0.3, 0.01, level, 0.0)
