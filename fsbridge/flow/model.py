"""What a flow document is. Pure shapes; `flow.document` reads and checks one.

Every step has an `id` and exactly one kind (`play`, `speak`, `pause`, `gather`, `set`, `branch`, `hangup`). After a
step comes the one that `on` names for its outcome, else the one that `next` names, else the next in the list; after
the last one the flow is finished and the call is hung up.
"""

from __future__ import annotations

import difflib
import re
from functools import cached_property
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from fsbridge.esl.causes import CAUSES

StepId = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,63}$")]
Variable = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")]
Text = Annotated[str, Field(min_length=1, max_length=4_000)]
Voice = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]

MAX_STEPS = 1_000
MAX_CASES = 100

KINDS = ("play", "speak", "pause", "gather", "set", "branch", "hangup")
OUTCOMES: dict[str, tuple[str, ...]] = {
    "play": ("done", "missing", "failed"),
    "speak": ("done", "failed"),
    "pause": ("done",),
    "gather": ("done", "timeout", "failed"),
    "set": ("done",),
    "branch": (),
    "hangup": (),
}
"""What a step of each kind may come to; `on` names a step for each. An outcome but `done` without one breaks the flow,
except a gather's timeout, which goes on."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Speak(_Part):
    """Text to speech by the node's engine."""

    text: Text
    voice: Voice | None = None
    engine: Voice | None = None


class Gather(_Part):
    """Digits into a variable; times in seconds.

    `pattern` is a regular expression that the node looks for in the digits, e.g. ``[12]``; their count is bounded by
    `min` and `max`.
    """

    variable: Variable
    min: int = Field(1, ge=1, le=32)
    max: int = Field(1, ge=1, le=32)
    prompt: Text | None = None
    invalid: Text | None = None
    timeout: float = Field(5.0, gt=0, le=120)
    digit_timeout: float = Field(2.0, gt=0, le=60)
    terminators: str = Field("#", pattern=r"^[0-9*#]{0,12}$")
    retries: int = Field(0, ge=0, le=9)
    pattern: str | None = Field(None, pattern=r"^[0-9*#\[\]()|?+d\\^-]{1,60}$")

    @field_validator("timeout", "digit_timeout", mode="before")
    @classmethod
    def _whole_numbers_too(cls, value: Any) -> Any:
        return float(value) if type(value) is int else value

    @field_validator("pattern")
    @classmethod
    def _readable(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                re.compile(value)
            except re.error as error:
                raise ValueError(f"is no regular expression: {error}") from error
        return value

    @model_validator(mode="after")
    def _bounds(self) -> Gather:
        if self.min > self.max:
            raise ValueError(f"min ({self.min}) is above max ({self.max})")
        return self


def _speech(value: Any) -> Any:
    if not isinstance(value, (str, dict)):
        raise ValueError("must be text, or a mapping with the key text")
    return {"text": value} if isinstance(value, str) else value


class Case(_Part):
    """One way of a branch: the first whose condition holds is taken; one without `when` always holds."""

    when: str | None = Field(None, min_length=1, max_length=500)
    next: StepId


class Step(_Part):
    """One step; exactly one of the kinds is given."""

    id: StepId
    play: Text | None = None
    speak: Annotated[Speak, BeforeValidator(_speech, json_schema_input_type=Speak | Text)] | None = None
    pause: Annotated[float, Field(gt=0, le=300)] | None = None
    gather: Gather | None = None
    set: dict[Variable, Any] | None = None
    branch: Annotated[tuple[Case, ...], Field(min_length=1, max_length=MAX_CASES)] | None = None
    hangup: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]{1,47}$")] | None = None
    next: StepId | None = None
    on: dict[str, StepId] = Field(default_factory=dict)

    @field_validator("pause", mode="before")
    @classmethod
    def _whole_seconds_too(cls, value: Any) -> Any:
        return float(value) if type(value) is int else value

    @field_validator("branch", mode="before")
    @classmethod
    def _a_list(cls, value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else value

    @field_validator("hangup")
    @classmethod
    def _known_cause(cls, value: str | None) -> str | None:
        if value is not None and value not in CAUSES:
            near = difflib.get_close_matches(value, CAUSES, 1)
            raise ValueError(f"{value!r} is no hang-up cause" + (f"; did you mean {near[0]}?" if near else ""))
        return value

    @model_validator(mode="after")
    def _one_kind(self) -> Step:
        given = [kind for kind in KINDS if getattr(self, kind) is not None]
        if len(given) != 1:
            what = "none" if not given else " and ".join(given)
            raise ValueError(f"a step has exactly one of {', '.join(KINDS)}; this one has {what}")
        unknown = sorted(set(self.on) - set(OUTCOMES[given[0]]))
        if unknown:
            known = ", ".join(OUTCOMES[given[0]]) or "none"
            raise ValueError(f"on: {given[0]} has no outcome {unknown[0]!r}; it has {known}")
        return self

    @property
    def kind(self) -> str:
        """Which of KINDS this step is."""
        return next(kind for kind in KINDS if getattr(self, kind) is not None)


class FlowBody(_Part):
    """The document as it is written."""

    name: str = Field("", max_length=200)
    voice: Voice | None = None
    engine: Voice | None = None
    variables: dict[Variable, Any] = Field(default_factory=dict, description="defaults; the call's own go over them")
    entry: StepId | None = Field(None, description="the first step; the list's first when absent")
    steps: Annotated[tuple[Step, ...], Field(min_length=1, max_length=MAX_STEPS)]

    @field_validator("steps", mode="before")
    @classmethod
    def _a_list(cls, value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else value


class Defaults(_Part):
    """What the service's configuration adds to every flow."""

    engine: str = "flite"
    voice: str = "slt"
    prompts_dir: str | None = None


class FlowDocument(_Part):
    """A checked document. `version` is a hash of its text: it changes exactly when the document does."""

    body: FlowBody
    version: str
    defaults: Defaults = Defaults()

    @cached_property
    def places(self) -> dict[str, int]:
        """Where each step stands in the list."""
        return {step.id: number for number, step in enumerate(self.body.steps)}

    @property
    def entry(self) -> int:
        """Where the flow begins."""
        return self.places[self.body.entry] if self.body.entry is not None else 0
