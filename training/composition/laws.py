"""How answers are put together: when somebody starts, how long they pause, and what the line does to them.

``TRAIN`` is wide and mixed case by case; ``DEV`` has other distributions of every quantity, because what a detector
overfits is the composition. The line is drawn without looking at what will be sent through it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from training.telephone.channel import Channel, Random


@dataclass(frozen=True, slots=True)
class Laws:
    """How answers are put together; ``mixed`` draws from several families at once, else from one other family."""

    mixed: bool
    seconds: float = 10.0
    live: float = 0.44
    machine: float = 0.38
    fax: float = 0.06
    noises: tuple[str, ...] = ("white", "pink", "brown", "hum", "clatter", "babble", "tv", "music", "car")
    augment: bool = True
    beep: float = 0.7  # of greetings; the others end in silence
    hesitation: float = math.inf  # seconds of silence inside a sentence read aloud; longer ones are shortened

    def onset(self, random: Random) -> float:
        """Seconds from the answer to the first word; negative: the speech was running already."""
        if not self.mixed:
            return float(np.clip(random.lognormal(np.log(0.6), 0.6) - 0.1, -0.1, 3.3))
        kind = random.random()
        if kind < 0.08:
            return -float(random.uniform(0.05, 0.5))
        if kind < 0.65:
            return float(random.uniform(0.0, 1.2))
        return float(random.uniform(0.4, 2.4) if kind < 0.9 else random.uniform(2.0, 3.8))

    def pause(self, random: Random) -> float:
        """Seconds between a machine's sentences, from word to word."""
        if not self.mixed:
            return float(np.clip(random.gamma(2.2, 0.16), 0.08, 1.2))
        kind = random.random()
        if kind < 0.62:
            return float(random.uniform(0.1, 0.5))
        return float(random.uniform(0.4, 0.8) if kind < 0.93 else random.uniform(0.7, 1.2))

    def breath(self, random: Random) -> float:
        """Seconds between the parts of a person's one turn."""
        return float(random.uniform(0.06, 0.45) if self.mixed else np.clip(random.gamma(2.0, 0.1), 0.05, 0.6))

    def wait(self, random: Random) -> float:
        """Seconds a person waits for an answer before speaking again."""
        return float(random.uniform(1.0, 4.5) if self.mixed else 1.1 + random.gamma(2.0, 0.8))

    def before_tones(self, random: Random) -> float:
        """Seconds from a fax switch's last word to its tones."""
        return float(random.uniform(0.0, 0.8) if self.mixed else random.exponential(0.3))

    def before_beep(self, random: Random) -> float:
        """Seconds from a greeting's end to its beep."""
        if not self.mixed:
            return float(np.clip(random.exponential(0.6) + 0.1, 0.1, 3.0))
        return float(random.uniform(0.1, 0.7) if random.random() < 0.6 else random.uniform(0.5, 2.2))


TRAIN: Final = Laws(mixed=True)
DEV: Final = Laws(
    mixed=False,
    seconds=14.0,
    noises=("street", "babble", "tv", "pink", "music"),
    augment=False,
    beep=0.85,
    hesitation=0.45,
)


def draw_line(laws: Laws, random: Random) -> Channel:
    """A channel from the laws, without knowledge of what will be sent through it."""
    if laws.mixed:
        codecs: tuple[str, ...] = (
            str(random.choice(["mulaw", "alaw", "gsm", "adpcm", "linear"], p=[0.38, 0.3, 0.14, 0.06, 0.12])),
        )
        if random.random() < 0.2:
            codecs += (str(random.choice(["mulaw", "alaw"])),)
        noisy = random.random() < 0.75
        snr = float(random.uniform(6, 40))
    else:
        codecs = (str(random.choice(["mulaw", "alaw", "gsm"], p=[0.45, 0.4, 0.15])),)
        noisy = random.random() < 0.6
        snr = float(np.clip(random.normal(21, 6), 9, 40))
    return Channel(
        level_dbfs=float(random.uniform(-35, -8)) if laws.mixed else float(np.clip(random.normal(-21, 6), -35, -6)),
        low_hz=float(random.choice([0.0, 80.0, 200.0, 300.0], p=[0.15, 0.15, 0.3, 0.4])),
        high_hz=float(random.choice([3_000.0, 3_400.0, 4_000.0], p=[0.15, 0.6, 0.25])),
        codecs=codecs,
        noise=str(random.choice(laws.noises)) if noisy else ("white" if random.random() < 0.6 else None),
        snr_db=snr if noisy else float(random.uniform(38, 60)),
        comfort_noise=random.random() < 0.2,
        loss=float(random.uniform(0.003, 0.08)) if random.random() < 0.25 else 0.0,
        loss_burst=float(random.uniform(1.0, 3.0)),
        echo_db=float(random.uniform(-40, -18)) if random.random() < 0.15 else None,
        echo_ms=float(random.uniform(30, 350)),
        room_s=float(random.uniform(0.15, 0.7)) if random.random() < 0.2 else 0.0,
        clip=float(random.uniform(0.2, 0.9)) if random.random() < 0.05 else 1.0,
    )
