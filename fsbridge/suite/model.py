"""What a suite of test calls is. Pure shapes; `suite.document` reads and checks one.

A suite says which calls are placed and what each must come to; an environment says through which service, and what its
numbers and variables are. The words of a request and of a call's record are the REST contract's; ours are like a
flow's. An environment without `url` is for a simulated service only.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, field_validator, model_validator

from fsbridge.flow.document.parts import LongSeconds, Part, Short, Variable, Word
from fsbridge.model.ids import is_uuid
from fsbridge.model.outcome import FailureReason

MAX_CALLS = 1_000
MAX_REPEAT = 1_000
MAX_PLACED = 10_000
"""Calls of one run, repeats included."""
FLOW_SCHEME = "flow://"

Verdict = Literal["live_person", "answering_machine", "fax", "unknown"]
REASONS = tuple(reason.value for reason in FailureReason)


def _reason(value: str) -> str:
    if value not in REASONS:
        raise ValueError(f"{value!r} is no failureReason; they are {', '.join(REASONS)}")
    return value


def _uuid(value: str) -> str:
    if not is_uuid(value.lower()):
        raise ValueError("must be a UUID")
    return value.lower()


class Worded(Part):
    """With keys in the REST contract's spelling."""

    model_config = ConfigDict(populate_by_name=False)


class Outcome(Worded):
    """What a call must come to; what is not named may be anything. `flow_result` is a part of what is there."""

    status: Literal["Completed", "Failed"] | None = None
    failure_reason: Annotated[str, AfterValidator(_reason)] | None = Field(None, alias="failureReason")
    call_analysis_result: Verdict | None = Field(None, alias="callAnalysisResult")
    flow_result: Any = Field(None, alias="flowResult")
    min_duration_seconds: Annotated[int, Field(ge=0)] | None = Field(None, alias="minDurationSeconds")
    max_duration_seconds: Annotated[int, Field(ge=0)] | None = Field(None, alias="maxDurationSeconds")

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.failure_reason is not None and self.status == "Completed":
            raise ValueError("a Completed call has no failureReason")
        low, high = self.min_duration_seconds, self.max_duration_seconds
        if low is not None and high is not None and low > high:
            raise ValueError(f"minDurationSeconds ({low}) is above maxDurationSeconds ({high})")
        return self

    @property
    def expected_status(self) -> str:
        """The status, also where only the reason of a failure says it."""
        return self.status or ("Failed" if self.failure_reason is not None else "Completed")


class SuiteCall(Worded):
    """One call, placed `repeat` times. `flow` is a flow's UUID, or the path of a document beside the suite."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    flow: Annotated[str, Field(min_length=1, max_length=500)]
    to: Short | None = None
    call_analysis: tuple[Literal["live_person", "answering_machine", "unknown"], ...] = Field((), alias="callAnalysis")
    call_analysis_options: dict[str, Any] | None = Field(None, alias="callAnalysisOptions")
    caller_id: Annotated[str, Field(pattern=r"^\+?[0-9]{1,15}$")] | None = Field(None, alias="callerId")
    variables: dict[Variable, Any] = Field(default_factory=dict)
    expect: Outcome = Outcome()
    timeout: LongSeconds = 120.0
    repeat: int = Field(1, ge=1, le=MAX_REPEAT)
    far_end: Annotated[str, Field(min_length=1, max_length=500)] | list[Any] | None = Field(
        None, description="who answers in a simulation: steps, the name of a far end of ours, or flow://PATH"
    )

    @field_validator("call_analysis", mode="before")
    @classmethod
    def _a_list(cls, value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else value

    @model_validator(mode="after")
    def _somebody(self) -> Self:
        if self.to is None and self.far_end is None:
            raise ValueError("says neither whom to call (to) nor who answers in a simulation (far_end)")
        return self


class Environment(Part):
    """One place to test in: a service, an organization (its trunk is the one that calls take), numbers, variables.

    `key_env` names the environment variable that holds the API key: a suite is committed, a key is not.
    """

    url: Annotated[str, Field(pattern=r"^https?://[^\s?#]{1,300}$")] | None = None
    org: Annotated[str, AfterValidator(_uuid)] | None = None
    key_env: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,99}$")] | None = None
    numbers: dict[Word, Annotated[str, Field(min_length=1, max_length=300)]] = Field(default_factory=dict)
    variables: dict[Variable, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        given = [name for name in ("url", "org", "key_env") if getattr(self, name) is not None]
        if given and len(given) < 3:
            missing = ", ".join(name for name in ("url", "org", "key_env") if name not in given)
            raise ValueError(f"has {' and '.join(given)}, but not {missing}")
        return self


class SuiteBody(Part):
    """The document as it is written."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    environments: dict[Word, Environment] = Field(default_factory=dict)
    concurrency: int = Field(4, ge=1, le=500)
    calls: Annotated[tuple[SuiteCall, ...], Field(min_length=1, max_length=MAX_CALLS)]

    @field_validator("calls", mode="before")
    @classmethod
    def _a_list(cls, value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else value
