"""A run as one HTML page that needs nothing else: outcomes, timelines, recordings with their waveforms and marks. Pure.

Everything that comes from a call is anybody's text and is escaped; the page has no script, and its policy allows none.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Any, Final

from fsbridge.suite import waveform
from fsbridge.suite.document import as_json, destination_of
from fsbridge.suite.result import CallReport, Event, SuiteReport
from fsbridge.suite.waveform import Mark

MAX_AUDIO: Final = 64 * 1024 * 1024
"""Bytes of recordings in one page; browsers struggle with more."""

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; media-src data:; img-src data:"
_STYLE = """
:root { color-scheme: light dark; --good: #18794e; --bad: #c62a2f; --soft: #8884; --wave: #4a7dbd; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: .2rem; } h1 + p { margin-top: 0; opacity: .75; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
td, th { text-align: left; padding: .25rem .6rem .25rem 0; border-bottom: 1px solid var(--soft); vertical-align: top; }
td.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td.detail { overflow-wrap: anywhere; }
details { border: 1px solid var(--soft); border-radius: .5rem; margin: .8rem 0; padding: .6rem 1rem; }
summary { cursor: pointer; font-weight: 600; } summary small { font-weight: 400; opacity: .7; }
.good { color: var(--good); } .bad { color: var(--bad); }
ul.faults { color: var(--bad); } audio { width: 100%; } svg { width: 100%; height: auto; font-size: 11px; }
svg .wave { fill: var(--wave); stroke: var(--wave); stroke-width: .5; } svg .rest { stroke: var(--soft); }
svg text { fill: currentColor; } svg .scale { opacity: .6; } svg .mark line { stroke: currentColor; opacity: .7; }
svg .heard line { stroke: var(--good); opacity: 1; } svg .missed line { stroke: var(--bad); opacity: 1; }
svg .digits line { stroke-dasharray: 3 2; }
"""


def page(report: SuiteReport) -> str:
    """The document."""
    passed = sum(call.passed for call in report.calls)
    when = datetime.fromtimestamp(report.started_at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    outcome = "good" if report.passed else "bad"
    room = MAX_AUDIO
    calls = []
    for call in report.calls:
        size = len(call.wav or b"")
        calls.append(_call(call, inline=size <= room))
        room -= size if size <= room else 0
    title = escape(f"{report.suite} · {report.environment}")
    return "".join(
        [
            f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>',
            '<meta name="viewport" content="width=device-width">',
            f'<meta http-equiv="Content-Security-Policy" content="{escape(_POLICY)}">',
            f"<style>{_STYLE}</style></head><body><h1>{title}</h1>",
            f'<p><strong class="{outcome}">{passed} of {len(report.calls)} calls as expected</strong>',
            f" · {escape(when)} · {report.took_s:.1f} s</p>",
            *calls,
            "</body></html>\n",
        ]
    )


def _call(call: CallReport, inline: bool) -> str:
    mark, state = ("✓", "good") if call.passed else ("✗", "bad")
    resource = call.resource
    words = [
        str(resource[key])
        for key in ("status", "failureReason", "callAnalysisResult")
        if isinstance(resource.get(key), str)
    ]
    faults = [call.error, *call.faults] if call.error else list(call.faults)
    parts = [
        f"<details{'' if call.passed else ' open'}><summary>",
        f'<span class="{state}">{mark}</span> {escape(call.planned.title)} ',
        f"<small>{escape(destination_of(call.planned))} · {escape(' · '.join(words) or 'no outcome')}",
        f" · {call.took_s:.1f} s</small></summary>",
    ]
    if faults:
        parts.append(f'<ul class="faults">{"".join(f"<li>{escape(fault)}</li>" for fault in faults)}</ul>')
    parts += _sound(call, inline)
    parts += _record(call)
    if call.events:
        parts += [
            "<table><tr><th>#</th><th>after</th><th>event</th><th>details</th></tr>",
            *_rows(call.events),
            "</table>",
        ]
    parts.append("</details>")
    return "".join(parts)


def _sound(call: CallReport, inline: bool) -> Iterable[str]:
    marks = _marks(call.events)
    sounding = waveform.read(call.wav) if call.wav is not None else None
    if marks or sounding is not None:
        yield waveform.svg(sounding, marks)
    if call.wav is not None and inline:
        data = base64.b64encode(call.wav).decode()
        yield f'<audio controls preload="none" src="data:audio/wav;base64,{data}"></audio>'
    elif call.wav is not None:
        yield "<p>The recording is left out: the page would be too large.</p>"


def _record(call: CallReport) -> Iterable[str]:
    shown = [("sessionId", call.session_id)] if call.session_id else []
    for key in ("durationSeconds", "failureDetail", "flowVersion", "flowResult"):
        if call.resource.get(key) is not None:
            value = call.resource[key]
            shown.append((key, value if isinstance(value, str) else as_json(value)))
    if shown:
        rows = (f'<tr><th>{escape(key)}</th><td class="detail">{escape(str(value))}</td></tr>' for key, value in shown)
        yield f"<table>{''.join(rows)}</table>"


def _rows(events: Sequence[Event]) -> Iterable[str]:
    first = _seconds(events[0].get("at"))
    for number, event in enumerate(events, 1):
        at = _seconds(event.get("at"))
        after = f"{at - first:.2f} s" if at is not None and first is not None else ""
        details = ", ".join(f"{key}: {_short(value)}" for key, value in event.items() if key not in ("at", "event"))
        yield (
            f'<tr><td class="n">{number}</td><td class="n">{after}</td><td>{escape(str(event.get("event", "")))}</td>'
            f'<td class="detail">{escape(details)}</td></tr>'
        )


def _marks(events: Sequence[Event]) -> list[Mark]:
    """What is worth a mark; times count from the answer, as the recording does."""
    answered = next((_seconds(event.get("at")) for event in events if event.get("event") == "answered"), None)
    if answered is None:
        return []
    marks = []
    for number, event in enumerate(events, 1):
        at, kind = _seconds(event.get("at")), _mark_kind(event)
        if at is not None and kind and at >= answered:
            marks.append(Mark(at - answered, number, kind, _title(event)))
    return marks


def _mark_kind(event: Event) -> str:
    match event.get("event"):
        case "stepEnded" if event.get("kind") in ("expect", "wait_for"):
            return "heard" if event.get("outcome") == "done" else "missed"
        case "answered" | "verdict" | "digits" | "heard" | "hangup" as word:
            return str(word)
        case _:
            return ""


def _title(event: Event) -> str:
    words = [str(event.get("event"))]
    words += [
        _short(event[key]) for key in ("step", "result", "digits", "outcome", "detail", "cause") if event.get(key)
    ]
    return " · ".join(words)


def _short(value: Any) -> str:
    return value if isinstance(value, str) else as_json(value)


def _seconds(at: Any) -> float | None:
    try:
        return datetime.fromisoformat(str(at)).timestamp()
    except ValueError:
        return None
