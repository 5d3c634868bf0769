"""An evaluation's object as text for a terminal, as a table of cases, and as a self-contained HTML page.

Plots are drawn with matplotlib if it is there (extra ``training``); without it the page has the tables only.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from typing import Any

from amd_model.detector.spec import CLASSES
from amd_model.evaluation.metrics import Outcome


def percent(share: dict[str, Any]) -> str:
    """``98.5 % [97.1, 99.2] of 400``."""
    if share["value"] is None:
        return "–"
    return f"{100 * share['value']:.1f} % [{100 * share['low']:.1f}, {100 * share['high']:.1f}] of {share['n']}"


def _times(values: dict[str, Any]) -> str:
    return "–" if values["p50"] is None else f"{values['p50']:.0f} / {values['p95']:.0f} ms (n={values['n']})"


def tables(body: dict[str, Any]) -> list[tuple[str, list[list[str]]]]:
    """Every table of the report: a title, then rows of cells, the first being the head."""
    names = [c.value for c in CLASSES]
    confusion = [["truth \\ verdict", *names]]
    confusion += [[label, *(str(body["confusion"][label][said]) for said in names)] for label in names]
    rule = body["timingRule"]
    main = [["", f"model {body['model']}", "classic timing rule"]]
    for title, key in (
        ("accuracy", "accuracy"),
        ("people taken for machines", "peopleTakenForMachines"),
        ("machines taken for people", "machinesTakenForPeople"),
    ):
        main.append([title, percent(body[key]), percent(rule[key])])
    for name in names:
        main.append([f"recall {name}", percent(body["recall"][name]), percent(rule["recall"][name])])
    for name in names:
        main.append(
            [f"decided, median / 95th, {name}", _times(body["decisionMs"][name]), _times(rule["decisionMs"][name])]
        )
    if not rule["ran"]:
        main = [row[:2] for row in main]
    timing = [["time to the verdict", "median / 95th percentile"]]
    timing += [[f"since the first word, {name}", _times(body["sinceFirstWordMs"][name])] for name in names[:2]]
    timing.append(["people shorter than 1 s, since the first word", _times(body["person"]["shortSinceFirstWordMs"])])
    timing.append(["people longer than 1 s, since they stopped", _times(body["person"]["longSinceTurnEndMs"])])
    heard = [["seconds heard", "accuracy of the likeliest class"]]
    heard += [[seconds, percent(share)] for seconds, share in body["bySecondsHeard"].items()]
    curve = [["sensitivity", "people taken for machines", "machines taken for people"]]
    curve += [
        [str(p["sensitivity"]), percent(p["peopleTakenForMachines"]), percent(p["machinesTakenForPeople"])]
        for p in body["operatingCurve"]
    ]
    beep = body["beep"]
    beeps = [["beeps", ""], ["recall", percent(beep["recall"])], ["precision", percent(beep["precision"])]]
    beeps += [
        ["false, in greetings", percent(beep["falseInGreetings"])],
        ["error of the start", _times(beep["errorMs"])],
    ]
    reliability = [["confidence", "right", "cases"]]
    reliability += [[str(d["confidence"]), str(d["right"]), str(d["n"])] for d in body["calibration"]["diagram"]]
    found = [
        ("Figures (95 % Wilson intervals)", main),
        ("Confusion", confusion),
        ("Time", timing),
        ("Accuracy by seconds heard", heard),
        ("Operating curve", curve),
        ("Beeps", beeps),
        (f"Calibration of verdicts: ECE {body['calibration']['ece']}", reliability),
    ]
    for name, groups in body["subsets"].items():
        rows = [[name, "accuracy", "people", "machines"]]
        rows += [
            [
                group,
                percent(g["accuracy"]),
                percent(g["recall"]["live_person"]),
                percent(g["recall"]["answering_machine"]),
            ]
            for group, g in groups.items()
        ]
        found.append((f"By {name}", rows))
    return found


def notes(body: dict[str, Any]) -> list[str]:
    """What the figures are not of: files that could not be read, columns that are not shown whole."""
    left_out = body.get("leftOut", [])
    told = [f"{len(left_out)} files could not be read and are left out"] if left_out else []
    return told + [f"by {note}" for note in body["subsetNotes"]]


def as_text(body: dict[str, Any]) -> str:
    """Tables in columns."""
    lines = [f"{body['cases']} cases", *notes(body)]
    for title, rows in tables(body):
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        lines += ["", title]
        lines += ["  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(line.rstrip() for line in lines)


def as_table(outcomes: Sequence[Outcome]) -> str:
    """One case a line, tab-separated."""
    lines = ["file\tlabel\tverdict\tconfidence\tdecidedAtMs\treason\tbeepAtMs\ttimingRule"]
    for o in outcomes:
        lines.append(
            f"{o.file}\t{o.label.value}\t{o.verdict.value}\t{o.confidence:.4f}\t{o.decided_ms}\t{o.reason}\t"
            f"{o.found_beep_ms}\t{o.rule.value}"
        )
    return "\n".join(lines) + "\n"


_STYLE = """body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}
table{border-collapse:collapse;margin:.5rem 0 1.5rem}td,th{border:1px solid #ccc;padding:.25rem .6rem;text-align:left}
th{background:#f3f3f3}img{max-width:100%}"""


def as_html(body: dict[str, Any]) -> str:
    """One file with everything in it."""
    parts = [
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">',
        f"<title>Detector evaluation</title><style>{_STYLE}</style>",
        f"<h1>Answering-machine detector, model {html.escape(body['model'])}</h1><p>{body['cases']} cases.</p>",
        *(f"<p>{html.escape(note)}.</p>" for note in notes(body)),
    ]
    parts += [
        f'<h2>{html.escape(title)}</h2><img alt="{html.escape(title)}" src="data:image/png;base64,{image}">'
        for title, image in _plots(body)
    ]
    for title, rows in tables(body):
        parts.append(f"<h2>{html.escape(title)}</h2><table>")
        for index, row in enumerate(rows):
            tag = "th" if index == 0 else "td"
            parts.append("<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in row) + "</tr>")
        parts.append("</table>")
    return "".join(parts) + "</html>\n"


def _plots(body: dict[str, Any]) -> list[tuple[str, str]]:
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        return []

    def picture(title: str, x: list[float], y: list[float], labels: tuple[str, str], diagonal: bool) -> tuple[str, str]:
        figure = Figure(figsize=(6, 3.6), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        if diagonal:
            axes.plot([0, 1], [0, 1], color="#bbb")
        axes.plot(x, y, marker="o", color="#1f5fa8")
        axes.set_xlabel(labels[0])
        axes.set_ylabel(labels[1])
        axes.grid(alpha=0.3)
        memory = io.BytesIO()
        figure.savefig(memory, format="png", dpi=110)
        return title, base64.b64encode(memory.getvalue()).decode()

    heard = [(float(s), r["value"]) for s, r in body["bySecondsHeard"].items() if r["value"] is not None]
    curve = [
        (p["peopleTakenForMachines"]["value"], p["machinesTakenForPeople"]["value"])
        for p in body["operatingCurve"]
        if p["peopleTakenForMachines"]["value"] is not None and p["machinesTakenForPeople"]["value"] is not None
    ]
    diagram = body["calibration"]["diagram"]
    found = []
    if heard:
        found.append(
            picture(
                "Accuracy by seconds heard",
                [h[0] for h in heard],
                [h[1] for h in heard],
                ("seconds", "accuracy"),
                False,
            )
        )
    if curve:
        labels = ("people taken for machines", "machines taken for people")
        found.append(picture("Operating curve", [c[0] for c in curve], [c[1] for c in curve], labels, False))
    if diagram:
        x, y = [d["confidence"] for d in diagram], [d["right"] for d in diagram]
        found.append(picture("Reliability of verdicts", x, y, ("confidence", "right"), True))
    return found
