"""What the probes are answered. Pure."""

from __future__ import annotations

from typing import Literal

from api.contract.shapes import AnswerShape


class Health(AnswerShape):
    """Answered as long as the process serves at all."""

    status: Literal["ok"]


class Readiness(AnswerShape):
    """Whether calls should be sent here; `reasons` say why not."""

    status: Literal["ready", "not_ready"]
    reasons: list[str]
