"""What a flow may wait to hear from the far end. Pure shapes.

`flow.listening.expect` matches them against what is heard.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from fsbridge.flow.document import pattern
from fsbridge.flow.document.parts import Part, Short, WaitSeconds

Milliseconds = Annotated[int, Field(ge=1, le=600_000)]

THINGS = (
    "beep",
    "greeting_end",
    "voice",
    "tone",
    "dtmf",
    "any_dtmf",
    "silence",
    "speech",
    "verdict",
    "audio_like",
    "transcript",
)


class Tone(Part):
    """A steady tone near a frequency (Hz), for at least so long."""

    frequency: Annotated[float, BeforeValidator(lambda v: float(v) if type(v) is int else v), Field(ge=200, le=3_400)]
    tolerance: Annotated[float, BeforeValidator(lambda v: float(v) if type(v) is int else v), Field(gt=0, le=500)] = (
        30.0
    )
    min_ms: Milliseconds = 100


class SpeechLength(Part):
    """A stretch of speech that has ended, by its length in milliseconds; shorter pauses than 700 ms belong to it."""

    min: Annotated[int, Field(ge=0, le=600_000)] = 0
    max: Milliseconds | None = None

    @model_validator(mode="after")
    def _bounds(self) -> Self:
        if self.max is not None and self.min > self.max:
            raise ValueError(f"min ({self.min}) is above max ({self.max})")
        return self


File = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}(/[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}){0,5}$")]


class AudioLike(Part):
    """Something that sounds like a recording (a file of the service's `flows.audio_dir`); `score` from 0 to 1."""

    file: File
    score: Annotated[float, Field(gt=0, le=1)] | None = None

    @field_validator("file")
    @classmethod
    def _stays(cls, value: str) -> str:
        if ".." in value.split("/"):
            raise ValueError("leaves the folder of reference recordings")
        return value


def _file_alone(value: Any) -> Any:
    return {"file": value} if isinstance(value, str) else value


_Likeness = Annotated[AudioLike, BeforeValidator(_file_alone, json_schema_input_type=AudioLike | File)]


class Expectation(Part):
    """Exactly one thing, and how long it is waited for (seconds)."""

    beep: Literal[True] | None = None
    greeting_end: Literal[True] | None = None
    voice: Literal[True] | None = Field(None, description="somebody begins to speak")
    tone: Tone | None = None
    dtmf: Annotated[str, Field(pattern=r"^[0-9A-D*#]{1,32}$")] | None = None
    any_dtmf: Literal[True] | None = None
    silence: Milliseconds | None = Field(None, description="milliseconds")
    speech: SpeechLength | None = None
    verdict: Literal["live_person", "answering_machine", "fax", "unknown"] | None = None
    audio_like: _Likeness | None = None
    transcript: Short | None = Field(None, description="a regular expression (RE2) over what a recogniser understood")
    timeout: WaitSeconds = 10.0

    @field_validator("transcript")
    @classmethod
    def _readable(cls, value: str | None) -> str | None:
        if value is not None:
            pattern.check_words(value)
        return value

    @model_validator(mode="after")
    def _one_thing(self) -> Self:
        given = [name for name in THINGS if getattr(self, name) is not None]
        if len(given) != 1:
            what = "none" if not given else " and ".join(given)
            raise ValueError(f"expects exactly one of {', '.join(THINGS)}; this one has {what}")
        return self

    @property
    def thing(self) -> str:
        """Which of THINGS it is."""
        return next(name for name in THINGS if getattr(self, name) is not None)

    @property
    def listens(self) -> bool:
        """Whether the audio itself has to be heard; digits and a recogniser's words are told by FreeSWITCH."""
        return self.thing not in ("dtmf", "any_dtmf", "transcript")
