"""What a flow document is. Pure shapes; `flow.document.document` reads and checks one, `flow.document.parts` has the
kinds' own shapes.

Every step has an `id` and exactly one kind. After a step comes the one that `on` names for its outcome, else the one
that `next` names, else the next in the list; after the last one the flow is finished and the call is hung up.
"""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from fsbridge.flow.document.expectation import Expectation
from fsbridge.flow.document.parts import (
    Bridge,
    Case,
    Conference,
    End,
    Gather,
    HangupCause,
    Language,
    LongSeconds,
    Menu,
    Notify,
    Part,
    Record,
    Request,
    Say,
    SendDtmf,
    Short,
    Speech,
    StepId,
    Stream,
    Text,
    Transfer,
    Variable,
    Voice,
    WaitFor,
    WaitSeconds,
)
from fsbridge.flow.document.template import Prompts

MAX_STEPS = 1_000
MAX_CASES = 100

DONE, FAILED, TIMEOUT, MISSING, UNAVAILABLE = "done", "failed", "timeout", "missing", "unavailable"

OUTCOMES: dict[str, tuple[str, ...]] = {
    "play": (DONE, MISSING, FAILED),
    "speak": (DONE, UNAVAILABLE, FAILED),
    "say": (DONE, UNAVAILABLE, FAILED),
    "pause": (DONE,),
    "gather": (DONE, TIMEOUT, FAILED),
    "menu": (TIMEOUT, FAILED),
    "record": (DONE, "empty", FAILED),
    "recording": (DONE, FAILED),
    "wait_for": (DONE, TIMEOUT, FAILED),
    "expect": (DONE, FAILED),
    "set": (DONE, FAILED),
    "branch": (),
    "goto": (),
    "request": (DONE, "refused", FAILED),
    "transfer": (FAILED,),
    "bridge": (DONE, "busy", "no_answer", FAILED),
    "conference": (DONE, FAILED),
    "send_dtmf": (DONE, FAILED),
    "stream": (DONE, "bot_gone", FAILED),
    "notify": (DONE, FAILED),
    "hangup": (),
    "end": (),
}
"""What a step of each kind may come to; `on` names a step for each. An outcome but `done` without one breaks the flow,
except those of GOES_ON."""

KINDS = tuple(OUTCOMES)

GOES_ON = frozenset(
    {("gather", TIMEOUT), ("wait_for", TIMEOUT), ("record", "empty"), ("bridge", "busy"), ("bridge", "no_answer")}
)
"""Outcomes that the far end brings about, not a fault: without a step of their own the flow goes on with the next."""

ENDS = frozenset({"hangup", "end", "transfer"})
"""Kinds after which nothing comes."""

Recording = Literal["start", "stop"]
_Spelled = Literal["start", "stop", "on", "off", True, False]


def _truth(value: Any) -> Any:
    # YAML 1.1 reads `on` and `off` as true and false.
    if isinstance(value, (bool, str)):
        return {True: "start", False: "stop", "on": "start", "off": "stop"}.get(value, value)
    return value


def _digits_alone(value: Any) -> Any:
    return {"digits": value} if isinstance(value, str) else value


_Digits = Annotated[SendDtmf, BeforeValidator(_digits_alone, json_schema_input_type=SendDtmf | Short)]


class Step(Part):
    """One step; exactly one of the kinds is given."""

    id: StepId
    play: Text | None = None
    speak: Speech | None = None
    say: Say | None = None
    pause: WaitSeconds | None = None
    gather: Gather | None = None
    menu: Menu | None = None
    record: Record | None = None
    recording: Annotated[Recording, BeforeValidator(_truth, json_schema_input_type=_Spelled)] | None = None
    wait_for: WaitFor | None = None
    expect: Expectation | None = None
    set: dict[Variable, Any] | None = None
    branch: Annotated[tuple[Case, ...], Field(min_length=1, max_length=MAX_CASES)] | None = None
    goto: StepId | None = None
    request: Request | None = None
    transfer: Transfer | None = None
    bridge: Bridge | None = None
    conference: Conference | None = None
    send_dtmf: _Digits | None = None
    stream: Stream | None = None
    notify: Notify | None = None
    hangup: HangupCause | None = None
    end: End | None = None
    next: StepId | None = None
    on: dict[str, StepId] = Field(default_factory=dict)

    @field_validator("branch", mode="before")
    @classmethod
    def _a_list(cls, value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else value

    @model_validator(mode="after")
    def _one_kind(self) -> Step:
        given = [kind for kind in KINDS if getattr(self, kind) is not None]
        if len(given) != 1:
            what = "none" if not given else " and ".join(given)
            raise ValueError(f"a step has exactly one of {', '.join(KINDS)}; this one has {what}")
        unknown = sorted({*self.on} - {*OUTCOMES[given[0]]})
        if unknown:
            known = ", ".join(OUTCOMES[given[0]]) or "none"
            raise ValueError(f"on: {given[0]} has no outcome {unknown[0]!r}; it has {known}")
        return self

    @cached_property
    def kind(self) -> str:
        """Which of KINDS this step is."""
        return next(kind for kind in KINDS if getattr(self, kind) is not None)


class Entries(Part):
    """Where a flow begins, by who answered; `default` for every other call.

    A closer word (`business`, `voicemail` …), which is known where words were heard, goes before the verdict.
    """

    live_person: StepId | None = None
    answering_machine: StepId | None = None
    unknown: StepId | None = None
    person: StepId | None = None
    business: StepId | None = None
    voicemail: StepId | None = None
    mailbox_full: StepId | None = None
    carrier_announcement: StepId | None = None
    call_screening: StepId | None = None
    menu: StepId | None = None
    default: StepId | None = None


class FlowBody(Part):
    """The document as it is written."""

    name: str = Field("", max_length=200)
    voice: Voice | None = None
    engine: Voice | None = None
    language: Language = "en"
    variables: dict[Variable, Any] = Field(default_factory=dict, description="defaults; the call's own go over them")
    entry: StepId | Entries | None = Field(None, description="the first step; the list's first when absent")
    on_hangup: Literal["complete", "fail"] | None = Field(
        None,
        description="what a call is whose far end hangs up before the flow's end; fail where a step expects",
    )
    max_duration: LongSeconds = Field(3_600.0, description="seconds after which the flow is broken off")
    steps: Annotated[tuple[Step, ...], Field(min_length=1, max_length=MAX_STEPS)]

    @field_validator("steps", mode="before")
    @classmethod
    def _a_list(cls, value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else value


class Way(Part):
    """A way into the nodes' dialplan; ``*`` is any context, and at an extension's end any rest."""

    context: str
    dialplan: str
    extensions: tuple[str, ...]

    def leads(self, context: str, dialplan: str, extension: str | None) -> bool:
        """Whether it leads there; without `extension`, whether it leads to any there."""
        if self.context not in ("*", context) or self.dialplan != dialplan:
            return False
        return extension is None or any(
            extension == each or (each.endswith("*") and extension.startswith(each[:-1])) for each in self.extensions
        )


class Defaults(Part):
    """What the service's configuration adds to a flow; None of what may be reached: no configuration, so anything."""

    engine: str = "flite"
    voice: str = "slt"
    prompts_dir: str | None = None
    prompt_hosts: tuple[str, ...] | None = None
    bot_hosts: tuple[str, ...] | None = None
    ways: tuple[Way, ...] | None = None
    conference_profiles: tuple[str, ...] | None = None
    max_run_s: float = 7_200.0
    recordings_dir: str | None = None
    recordings_url: str | None = None
    asr_engine: str | None = None
    asr_grammar: str | None = None

    @property
    def prompts(self) -> Prompts:
        """The rules for what may be played."""
        return Prompts(self.prompts_dir, self.prompt_hosts)

    def leads(self, context: str, dialplan: str, extension: str | None = None) -> bool:
        """Whether a channel may be given to the nodes' dialplan there."""
        return self.ways is None or any(way.leads(context, dialplan, extension) for way in self.ways)


class FlowDocument(Part):
    """A checked document. `version` is a hash of its text: it changes exactly when the document does."""

    body: FlowBody
    version: str
    defaults: Defaults = Defaults()

    @cached_property
    def places(self) -> dict[str, int]:
        """Where each step stands in the list."""
        return {step.id: number for number, step in enumerate(self.body.steps)}

    @property
    def max_duration(self) -> float:
        """Seconds after which a run is broken off: the document's own limit, and the configuration's."""
        return min(self.body.max_duration, self.defaults.max_run_s)

    @cached_property
    def listens(self) -> bool:
        """Whether the flow has to hear the far end: the audio goes to a detector while it runs."""
        return any(_listens(step) for step in self.body.steps)

    @cached_property
    def fails_at_hangup(self) -> bool:
        """Whether a far end that hangs up before the flow's end makes the call a failed one."""
        if self.body.on_hangup is not None:
            return self.body.on_hangup == "fail"
        return any(step.expect is not None for step in self.body.steps)

    def entry(self, verdict: str, answerer: str = "") -> int:
        """Where the flow begins for a call with this verdict and this answerer ("" for none)."""
        first = self.body.entry
        if isinstance(first, Entries):
            words = [word for word in (answerer, verdict, "default") if word in Entries.model_fields]
            first = next((own for word in words if (own := getattr(first, word)) is not None), None)
        return self.places[first] if first is not None else 0


def _listens(step: Step) -> bool:
    if step.wait_for is not None:
        return step.wait_for.dtmf is None
    return step.expect is not None and step.expect.listens
