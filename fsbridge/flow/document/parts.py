"""What the kinds of steps are made of: one model a kind, and the words they share. Pure shapes.

Times are seconds. A text may hold ``{{ variables }}`` (`flow.document.template`); what has no braces is checked as it
stands.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from fsbridge.esl.causes import CAUSES
from fsbridge.flow.document import pattern
from fsbridge.flow.document.speech import Saying
from fsbridge.near import Words

StepId = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,63}$")]
Variable = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")]
Text = Annotated[str, Field(min_length=1, max_length=4_000)]
Short = Annotated[str, Field(min_length=1, max_length=500)]
Voice = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
Language = Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z]{2})?$")]
Word = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
Terminators = Annotated[str, Field(pattern=r"^[0-9*#]{0,12}$")]

MAX_CHOICES = 20
_CAUSES = Words(CAUSES)


def _as_float(value: Any) -> Any:
    return float(value) if type(value) is int else value


ShortSeconds = Annotated[float, BeforeValidator(_as_float), Field(gt=0, le=60)]
"""Whole numbers may be written without a point."""
WaitSeconds = Annotated[float, BeforeValidator(_as_float), Field(gt=0, le=300)]
LongSeconds = Annotated[float, BeforeValidator(_as_float), Field(gt=0, le=7_200)]


def _known_cause(value: str) -> str:
    if value not in CAUSES:
        near = _CAUSES.nearest(value)
        raise ValueError(f"{value!r} is no hang-up cause" + (f"; did you mean {near}?" if near else ""))
    return value


HangupCause = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]{1,47}$"), AfterValidator(_known_cause)]


class Part(BaseModel):
    """Frozen, exact, and nothing that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Speak(Part):
    """Text to speech by the node's engine."""

    text: Text
    voice: Voice | None = None
    engine: Voice | None = None


def _speech(value: Any) -> Any:
    if not isinstance(value, (str, dict, Speak)):
        raise ValueError("must be text, or a mapping with the key text")
    return {"text": value} if isinstance(value, str) else value


Speech = Annotated[Speak, BeforeValidator(_speech, json_schema_input_type=Speak | Text)]


class Say(Part):
    """A value read out with the node's own sound files (mod_say_…)."""

    value: Short
    kind: Annotated[Saying, BeforeValidator(lambda v: Saying(v) if v in list(Saying) else v)] = Field(
        Saying.NUMBER, alias="as"
    )
    language: Language | None = None


class Prompted(Part):
    """What asks: a recording or words, and another when the answer was wrong. Both may be talked over by digits."""

    prompt: Text | None = None
    speak: Speech | None = None
    invalid: Text | None = None
    timeout: Annotated[float, BeforeValidator(_as_float), Field(gt=0, le=120)] = 5.0
    retries: int = Field(0, ge=0, le=9)

    @model_validator(mode="after")
    def _one_prompt(self) -> Self:
        if self.prompt is not None and self.speak is not None:
            raise ValueError("has prompt and speak; give one of them")
        return self


class Grammar(Part):
    """Speech instead of digits, by a recogniser that the node has (`play_and_detect_speech`)."""

    engine: Voice | None = None
    grammar: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_./-]{0,199}$")] | None = None

    @field_validator("grammar")
    @classmethod
    def _stays(cls, value: str | None) -> str | None:
        if value is not None and ".." in value.split("/"):
            raise ValueError("leaves the node's folder of grammars")
        return value


class Gather(Prompted):
    """Digits into a variable.

    `pattern` is a regular expression that all of the digits have to match, e.g. ``[12]``; their count is bounded by
    `min` and `max`. With `secret` the digits stand in no log and no timeline. With `speech` words are recognised.
    """

    variable: Variable
    min: int = Field(1, ge=1, le=32)
    max: int = Field(1, ge=1, le=32)
    digit_timeout: ShortSeconds = 2.0
    terminators: Terminators = "#"
    pattern: str | None = Field(None, pattern=r"^[0-9*#\[\]()|?+d\\^-]{1,60}$")
    secret: bool = False
    speech: Grammar | None = None

    @field_validator("pattern")
    @classmethod
    def _readable(cls, value: str | None) -> str | None:
        if value is not None:
            pattern.check_digits(value)
        return value

    @model_validator(mode="after")
    def _bounds(self) -> Self:
        if self.min > self.max:
            raise ValueError(f"min ({self.min}) is above max ({self.max})")
        return self


Digits = Annotated[str, Field(pattern=r"^[0-9*#]{1,8}$")]


class Menu(Prompted):
    """A question with choices: digits, and the step that each leads to. The digits go into `variable`, if named."""

    choices: dict[Digits, StepId] = Field(min_length=1, max_length=MAX_CHOICES)
    variable: Variable | None = None

    @field_validator("choices", mode="before")
    @classmethod
    def _digits_are_text(cls, value: Any) -> Any:
        # YAML reads an unquoted 1 as a number; 07 would be lost, but then it is no key of one digit.
        if isinstance(value, dict):
            return {str(key) if type(key) is int else key: target for key, target in value.items()}
        return value


class Record(Part):
    """The far end's voice into a file of the node; its URL (or path) into `variable`."""

    variable: Variable = "recording"
    max: LongSeconds = 60.0
    silence: ShortSeconds = Field(3.0, description="seconds of silence that end it")
    threshold: int = Field(200, ge=0, le=10_000, description="energy below which FreeSWITCH takes a sound for silence")
    beep: bool = True
    terminators: Terminators = "#"


class WaitFor(Part):
    """Something to be heard; exactly one of the keys but `timeout`."""

    beep: Literal[True] | None = None
    greeting_end: Literal[True] | None = None
    speech: Literal[True] | None = None
    silence: ShortSeconds | None = None
    dtmf: Annotated[str, Field(pattern=r"^[0-9*#]{1,32}$")] | Literal[True] | None = None
    timeout: WaitSeconds = 30.0

    @model_validator(mode="after")
    def _one_thing(self) -> Self:
        given = [n for n in ("beep", "greeting_end", "speech", "silence", "dtmf") if getattr(self, n) is not None]
        if len(given) != 1:
            raise ValueError("waits for exactly one of beep, greeting_end, speech, silence and dtmf")
        return self


class Secret(Part):
    """A value of the organization's secrets, by name."""

    secret: Word


class Request(Part):
    """An HTTP exchange with the customer's system; what it answers goes into `variable` as {status, body}."""

    url: Annotated[str, Field(min_length=8, max_length=1_000)]
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "POST"
    headers: dict[Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9-]{0,63}$")], Short | Secret] = Field(
        default_factory=dict, max_length=20
    )
    body: Any = None
    timeout: ShortSeconds = 10.0
    retries: int = Field(0, ge=0, le=5)
    variable: Variable = "response"


class Transfer(Part):
    """The channel goes to the node's dialplan, for good: the flow has reached its end."""

    extension: Annotated[str, Field(min_length=1, max_length=200)]
    context: Word = "default"
    dialplan: Word = "XML"


class Bridge(Part):
    """The far end talks to somebody else, by trunk or by SIP URI; afterwards the flow goes on, or ends."""

    to: Annotated[str, Field(min_length=1, max_length=300)]
    trunk: Word | None = None
    caller_id: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    timeout: WaitSeconds = 30.0
    max: LongSeconds = Field(7_200.0, description="how long the two may talk")


class Conference(Part):
    """Into a room of the organization, until the far end leaves or the room ends."""

    room: Annotated[str, Field(min_length=1, max_length=100)]
    profile: Word = "default"
    max: LongSeconds = 7_200.0


class SendDtmf(Part):
    """Digits to the far end; `duration` of each in milliseconds."""

    digits: Annotated[str, Field(min_length=1, max_length=100)]
    duration: int = Field(200, ge=40, le=2_000)


class Stream(Part):
    """The far end's voice to a bot's WebSocket, which commands the call meanwhile (fsbridge/README.md, voice bots)."""

    url: Annotated[str, Field(min_length=6, max_length=500)]
    rate: Literal["8k", "16k"] = "8k"
    metadata: dict[Variable, Any] = Field(default_factory=dict, max_length=50)
    context: Word = Field("default", description="the dialplan context that the bot may transfer to")
    connect_timeout: ShortSeconds = 5.0
    max: LongSeconds = 1_800.0


class Notify(Part):
    """A `call.event` to the caller's webhook."""

    name: Word
    data: Any = None


class End(Part):
    """The end of the flow, with what it found out (`flowResult`)."""

    result: Any = None
    cause: HangupCause = "NORMAL_CLEARING"


class Case(Part):
    """One way of a branch: the first whose condition holds is taken; one without `when` always holds."""

    when: str | None = Field(None, min_length=1, max_length=500)
    next: StepId
