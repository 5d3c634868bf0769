"""A run as JUnit XML, as CI servers read it. Pure.

One testcase a call: a failure where it was not as expected, an error where it came to nothing. Names, digits and
details are anybody's text: characters that XML cannot hold are replaced, everything else is escaped by the writer.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from xml.etree import ElementTree as Xml

from fsbridge.suite.document import as_json
from fsbridge.suite.result import CallReport, SuiteReport, broken_steps

_UNFIT = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(report: SuiteReport) -> bytes:
    """The document, UTF-8."""
    failures = sum(1 for call in report.calls if call.faults and not call.error)
    errors = sum(1 for call in report.calls if call.error)
    counts = {"tests": str(len(report.calls)), "failures": str(failures), "errors": str(errors)}
    took = f"{report.took_s:.3f}"
    root = Xml.Element("testsuites", {**counts, "time": took})
    suite = Xml.SubElement(
        root,
        "testsuite",
        {
            "name": _fit(report.suite),
            **counts,
            "skipped": "0",
            "time": took,
            "timestamp": datetime.fromtimestamp(report.started_at, UTC).strftime("%Y-%m-%dT%H:%M:%S"),
        },
    )
    properties = Xml.SubElement(suite, "properties")
    Xml.SubElement(properties, "property", {"name": "environment", "value": _fit(report.environment)})
    for call in report.calls:
        _testcase(suite, report, call)
    Xml.indent(root)
    text: bytes = Xml.tostring(root, encoding="utf-8", xml_declaration=True)
    return text


def _testcase(suite: Xml.Element, report: SuiteReport, call: CallReport) -> None:
    case = Xml.SubElement(
        suite,
        "testcase",
        {
            "classname": _fit(f"{report.suite}.{report.environment}"),
            "name": _fit(call.planned.title),
            "time": f"{call.took_s:.3f}",
        },
    )
    evidence = list(broken_steps(call.events))
    if call.error:
        _problem(case, "error", call.error, evidence)
    elif call.faults:
        _problem(case, "failure", "; ".join(call.faults), evidence)
    Xml.SubElement(case, "system-out").text = _fit(_told(call))


def _problem(case: Xml.Element, kind: str, message: str, evidence: list[str]) -> None:
    element = Xml.SubElement(case, kind, {"message": _fit(message), "type": kind})
    element.text = _fit("\n".join([message, *evidence]))


def _told(call: CallReport) -> str:
    lines = [f"session {call.session_id}"] if call.session_id else []
    for event in call.events:
        details = " ".join(f"{key}={as_json(value)}" for key, value in event.items() if key not in ("at", "event"))
        lines.append(f"{event.get('at', '')} {event.get('event', '')} {details}".rstrip())
    return "\n".join(lines)


def _fit(text: str) -> str:
    return _UNFIT.sub("\ufffd", text)
