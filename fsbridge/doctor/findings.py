"""What the doctor says: findings in words, each with what to change. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

MODULES = "autoload_configs/modules.conf.xml"


class Level(StrEnum):
    """How much a finding matters: with a problem, calls fail or the door is open; a warning may be on purpose."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `subject` is a node, the detector or "configuration"; an ok has no `change`."""

    level: Level
    subject: str
    check: str
    text: str
    change: str = ""


@dataclass(slots=True)
class Notes:
    """Findings about one subject, in the order in which they were made."""

    subject: str
    found: list[Finding] = field(default_factory=list)

    def ok(self, check: str, text: str) -> None:
        """All is well."""
        self.found.append(Finding(Level.OK, self.subject, check, text))

    def warn(self, check: str, text: str, change: str) -> None:
        """Perhaps on purpose."""
        self.found.append(Finding(Level.WARNING, self.subject, check, text, change))

    def problem(self, check: str, text: str, change: str) -> None:
        """Calls fail, or the door is open."""
        self.found.append(Finding(Level.PROBLEM, self.subject, check, text, change))
