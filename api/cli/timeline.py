"""A call's timeline as a table for a terminal. It has anybody's text in it: none of that may steer the terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

_STYLES = {
    "answered": "green",
    "verdict": "cyan",
    "tapFailed": "yellow",
    "omitted": "yellow",
    "digits": "magenta",
    "hangup": "bold",
    "ended": "bold",
}
_MAX_DETAIL = 400
NOTHING = "nothing was kept of this call's timeline"


def table(events: Sequence[Mapping[str, Any]]) -> Table:
    """One row an event: seconds since the first one, the event, and what else is known of it."""
    title = f"from {_clean(str(events[0].get('at')))}" if events else NOTHING
    rows = Table(title=Text(title), title_justify="left", title_style="dim", box=None, pad_edge=False)
    rows.add_column("seconds", justify="right", no_wrap=True)
    rows.add_column("event", no_wrap=True)
    rows.add_column("", overflow="fold")
    for event, (seconds, word, details) in zip(events, _rows(events), strict=True):
        rows.add_row(seconds, Text(word, style=_style(event)), Text(details))
    return rows


def _rows(events: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str, str]]:
    first = _moment(events[0]) if events else None
    for event in events:
        moment = _moment(event)
        seconds = f"{(moment - first).total_seconds():.3f}" if moment is not None and first is not None else "?"
        yield seconds, _clean(str(event.get("event"))), _details(event)


def show(events: Sequence[Mapping[str, Any]], *, stderr: bool = False) -> None:
    """Print it on stdout, or on stderr where stdout is for programs: as a table on a terminal, else as `lines`."""
    # The stream of now: whoever captures the output has replaced the one that rich would remember.
    stream = sys.stderr if stderr else sys.stdout
    if stream.isatty():
        Console(file=stream, highlight=False).print(table(events))
    elif not events:
        sys.stderr.write(f"{NOTHING}\n")
    else:
        stream.write("".join(f"{line}\n" for line in lines(events)))


def lines(events: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The same for a file or a program: one line an event, as long as it is, in columns divided by tabs."""
    for seconds, event, details in _rows(events):
        yield "\t".join((seconds, event, details)).rstrip("\t")


def _style(event: Mapping[str, Any]) -> str:
    bad = event.get("outcome") not in (None, "done") or event.get("status") == "Failed"
    return "red" if bad else _STYLES.get(str(event.get("event")), "")


def _details(event: Mapping[str, Any]) -> str:
    """``name=value`` for programs' fields; what a step is comes first, in words."""
    rest = {name: value for name, value in event.items() if name not in ("at", "event", "step", "kind", "outcome")}
    words = []
    if "step" in event:
        words.append(f"{event['step']} ({event['kind']})" if "kind" in event else str(event["step"]))
    if "outcome" in event:
        words.append(f"→ {event['outcome']}")
    words += [f"{name}={_value(value)}" for name, value in rest.items()]
    text = " ".join(words)
    return _clean(text if len(text) <= _MAX_DETAIL else text[: _MAX_DETAIL - 1] + "…")


def _value(value: Any) -> str:
    if isinstance(value, str):
        return value if value and " " not in value else repr(value)
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _moment(event: Mapping[str, Any]) -> datetime | None:
    try:
        moment = datetime.fromisoformat(str(event.get("at")))
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None


def _clean(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)
