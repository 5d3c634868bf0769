"""``python -m amd_model evaluate CASES.tsv``: the detector's figures on labelled files, beside the classic rule's.

CASES.tsv has a header; ``file`` (relative to the list) and ``label`` are needed. ``firstWordMs``,
``turnEndMs`` and ``beepMs`` (−1 for none) are truths to time against where they are known; every other column
makes subsets, of one with many values the largest. A file that cannot be read is left out and named, the others are
done. Text goes to standard output, ``--json`` prints one object instead, ``--html FILE`` also writes a self-contained
report.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from amd_model.detector.checkpoint import CheckpointError, LoadedModel, load
from amd_model.detector.decision import decide, finish
from amd_model.detector.evidence import WordEvidence
from amd_model.detector.features import features
from amd_model.detector.looks import BEFORE_MS, Looks
from amd_model.detector.policy import Policy
from amd_model.detector.spec import (
    CONTEXT_SAMPLES,
    FRAMES_PER_TICK,
    MELS,
    OUTPUTS,
    POSTERIOR,
    SAMPLE_RATE,
    TICK_MS,
    TICK_SAMPLES,
)
from amd_model.evaluation import files
from amd_model.evaluation.metrics import Outcome, rate, summarise
from amd_model.evaluation.timing_rule import timing_rule
from amd_model.sound import option
from amd_model.sound.files import AudioError, Headerless
from amd_model.verdict import AmdEvent, AmdOptions, EventKind, Mode, Verdict
from amd_model.words.look import Reader
from amd_model.words.open import NoWords, reader

SENSITIVITIES: Final = (0.1, 0.2, 0.33, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0)
_TIMES: Final = ("firstWordMs", "turnEndMs", "beepMs")


LOOK_TICKS: Final = 2
"""After how many ticks a look is taken to have come back; a worker gives one up after its own deadline."""

Words = Callable[[int, int], WordEvidence | None]
"""A look at what was said from, and until, so many milliseconds."""


class EvaluationError(ValueError):
    """A list of cases that cannot be evaluated; the message names the line."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """One line of the list."""

    file: Path
    label: Verdict
    first_word_ms: int = -1
    turn_end_ms: int = -1
    beep_ms: int = -1
    beep_known: bool = False
    subsets: tuple[tuple[str, str], ...] = ()


def read_cases(path: Path) -> list[Labelled]:
    """The list's lines. Raises EvaluationError with the line's number."""
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            reader = csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE)
            names = list(reader.fieldnames or [])
            if missing := [name for name in ("file", "label") if name not in names]:
                raise EvaluationError(
                    f"{path.name}, line 1: no column {' and '.join(missing)} (tab-separated, with header)"
                )
            rows = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise EvaluationError(f"{path.name}: cannot be read: {error}") from error
    others = [name for name in names if name not in ("file", "label", *_TIMES)]
    cases = []
    for line, row in rows:
        where = f"{path.name}, line {line}"
        try:
            label = Verdict(row["label"])
        except ValueError:
            known = ", ".join(verdict.value for verdict in Verdict)
            raise EvaluationError(f"{where}: unknown label {row['label']!r}; known are {known}") from None
        file = path.parent / (row["file"] or "")
        if not file.is_file():
            raise EvaluationError(f"{where}: no such file {row['file']}")
        try:
            first, end, beep = (int(float(row.get(name) or -1)) for name in _TIMES)
        except (ValueError, OverflowError):
            raise EvaluationError(f"{where}: {', '.join(_TIMES)} are milliseconds") from None
        subsets = tuple((name, row[name]) for name in others if row[name])
        cases.append(Labelled(file, label, first, end, beep, bool(row.get("beepMs")), subsets))
    if not cases:
        raise EvaluationError(f"{path.name}: no cases")
    return cases


def rows_of(model: LoadedModel, samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """A whole recording's outputs [ticks, OUTPUTS]: the same layers as tick by tick, in one go."""
    ticks = len(samples) // TICK_SAMPLES
    if not ticks:
        return np.zeros((0, OUTPUTS), np.float32)
    padded = np.concatenate((np.zeros(CONTEXT_SAMPLES, np.float32), samples[: ticks * TICK_SAMPLES]))
    with torch.inference_mode():
        return np.asarray(rows_of_features(model, features(torch.from_numpy(padded)[None]))[0])


def rows_of_features(model: LoadedModel, seen: torch.Tensor) -> NDArray[np.float32]:
    """Features [B, ticks·5, F] → outputs [B, ticks, OUTPUTS]."""
    with torch.inference_mode():
        outputs, _ = model.net(seen, model.net.initial_state(len(seen)))
        measures = seen[:, :, MELS:].reshape(len(seen), -1, FRAMES_PER_TICK * (seen.shape[2] - MELS))
        return np.asarray(torch.cat((outputs, measures), dim=2).numpy(), dtype=np.float32)


def events_of(
    model: LoadedModel,
    rows: NDArray[np.float32],
    options: AmdOptions,
    policy: Policy | None = None,
    words: Words | None = None,
) -> list[AmdEvent]:
    """What the detector tells about these outputs, to the end of the recording.

    With `words`, what is said is looked at as the worker would, and a look comes back `LOOK_TICKS` later.
    """
    state = model.start()
    if policy is not None:
        state.policy = policy
    if words is not None:
        state.looks = Looks()
    events: list[AmdEvent] = []
    back = -1
    for index, row in enumerate(rows.tolist()):
        now = (index + 1) * TICK_MS
        if words is not None and index == back:
            state.looked(words(max(0, state.first_speech_ms - BEFORE_MS), state.look_asked_ms))
        state, told = decide(state, row, options, index)
        events += told
        if state.done:
            return events
        if state.look(now):
            back = index + LOOK_TICKS
    return events + finish(state, options, len(rows) * TICK_MS)[1]


def outcome(
    case: Labelled, rows: NDArray[np.float32], events: Sequence[AmdEvent], rule: tuple[Verdict, int]
) -> Outcome:
    """One case's truth and what became of it."""
    verdict = next(event for event in events if event.kind is EventKind.VERDICT)
    verdict = next((event for event in events if event.kind is EventKind.CORRECTION), verdict)
    beep = next((event.beep_ms for event in events if event.beep_ms is not None), -1)
    assert verdict.result is not None
    return Outcome(
        file=str(case.file),
        label=case.label,
        verdict=verdict.result,
        confidence=verdict.confidence,
        decided_ms=verdict.at_ms,
        reason=verdict.reason.value if verdict.reason else "",
        posteriors=[tuple(row[POSTERIOR]) for row in rows.tolist()],
        rule=rule[0],
        rule_ms=rule[1],
        first_word_ms=case.first_word_ms,
        turn_end_ms=case.turn_end_ms,
        beep_ms=case.beep_ms,
        beep_known=case.beep_known,
        found_beep_ms=-1 if beep is None else beep,
        subsets=dict(case.subsets),
    )


class Looking:
    """Looks at recordings, each cut as the worker would cut it, with what they cost."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self.looks = 0
        self.cpu_s = 0.0

    def at(self, samples: NDArray[np.float32]) -> Words:
        """The looks at one recording, float32 [n] at 8 kHz."""

        def look(since_ms: int, until_ms: int) -> WordEvidence | None:
            began = time.process_time()
            heard = samples[since_ms * SAMPLE_RATE // 1000 : until_ms * SAMPLE_RATE // 1000]
            words = self._reader.look(heard, until_ms)
            self.cpu_s += time.process_time() - began
            self.looks += 1
            return words

        return look

    def to_json(self, calls: int) -> dict[str, float]:
        """Looks a call, and the processor's milliseconds that they took of it."""
        return {"looksPerCall": round(self.looks / calls, 2), "cpuMsPerCall": round(1000 * self.cpu_s / calls, 1)}


def evaluate(
    model: LoadedModel,
    cases: Sequence[Labelled],
    told: Callable[[int], None] = lambda done: None,
    otherwise: Headerless | None = None,
    looking: Looking | None = None,
) -> tuple[dict[str, Any], list[Outcome]]:
    """The report's object and every outcome. Raises EvaluationError if no file at all can be read.

    The object's ``leftOut`` names the files that could not be, and why; figures are of the others. ``otherwise`` is
    what a file holds in which no header is found.
    """
    options = AmdOptions(mode=Mode.MESSAGE_END)
    outcomes: list[Outcome] = []
    read: list[Labelled] = []
    everything: list[NDArray[np.float32]] = []
    left_out: list[dict[str, str]] = []
    for index, case in enumerate(cases):
        try:
            samples = files.read(case.file, otherwise)
        except AudioError as error:
            left_out.append({"file": str(case.file), "reason": str(error)})
        else:
            rows = rows_of(model, samples)
            read.append(case)
            everything.append(rows)
            words = None if looking is None else looking.at(samples)
            outcomes.append(outcome(case, rows, events_of(model, rows, options, words=words), timing_rule(samples)))
        told(index + 1)
    if not read:
        raise EvaluationError(f"none of {len(cases)} files can be read: {left_out[0]['reason']}")
    body = {"model": model.version, **summarise(outcomes), "leftOut": left_out}
    if looking is not None:
        body["words"] = looking.to_json(len(read))
    body["operatingCurve"] = operating_curve(model, read, everything)
    return body, outcomes


def operating_curve(
    model: LoadedModel, cases: Sequence[Labelled], everything: Sequence[NDArray[np.float32]]
) -> list[dict[str, Any]]:
    """Both mistakes at each sensitivity that a caller may ask for."""
    curve = []
    for sensitivity in SENSITIVITIES:
        options = replace(AmdOptions(), sensitivity=sensitivity)
        said = [events_of(model, rows, options)[0].result for rows in everything]
        people = [s for case, s in zip(cases, said, strict=True) if case.label is Verdict.LIVE_PERSON]
        machines = [s for case, s in zip(cases, said, strict=True) if case.label is Verdict.ANSWERING_MACHINE]
        curve.append({
            "sensitivity": sensitivity,
            "peopleTakenForMachines": rate(people.count(Verdict.ANSWERING_MACHINE), len(people)),
            "machinesTakenForPeople": rate(machines.count(Verdict.LIVE_PERSON), len(machines)),
        })  # fmt: skip
    return curve


def run(argv: Sequence[str]) -> int:
    """Command line: 0 when all was evaluated, 1 when files were left out, 2 when the list or the model is refused."""
    from amd_model.evaluation import report

    parser = argparse.ArgumentParser("python -m amd_model evaluate", description="Figures on labelled recordings.")
    parser.add_argument("cases", type=Path, metavar="CASES.tsv")
    parser.add_argument("--weights", type=Path, help="another model than the shipped one")
    parser.add_argument("--words", help="read the words as well: a recogniser's name, once installed, or its folder")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    parser.add_argument("--html", type=Path, help="write a self-contained report there")
    parser.add_argument("--outcomes", type=Path, help="write one line a case there (TSV)")
    option.add_to(parser)
    try:
        options = parser.parse_args(argv)
        model = load(options.weights)
        cases = read_cases(options.cases)
        looking = None if options.words is None else Looking(reader(options.words))
        body, outcomes = evaluate(model, cases, _progress(len(cases)), options.headerless, looking)
    except SystemExit as stop:
        return 0 if stop.code == 0 else 2
    except (CheckpointError, EvaluationError, NoWords) as error:
        print(error, file=sys.stderr)
        return 2
    print(json.dumps(body) if options.json else report.as_text(body))
    if options.html:
        options.html.write_text(report.as_html(body), encoding="utf-8")
    if options.outcomes:
        options.outcomes.write_text(report.as_table(outcomes), encoding="utf-8")
    for file in body["leftOut"]:
        print(f"left out: {file['reason']}", file=sys.stderr)
    if body["leftOut"]:
        print(f"{len(body['leftOut'])} of {len(cases)} files left out", file=sys.stderr)
    return 1 if body["leftOut"] else 0


def _progress(total: int) -> Callable[[int], None]:
    """A line on a terminal's standard error; silence elsewhere."""
    if not sys.stderr.isatty():
        return lambda done: None
    return lambda done: print(f"\r{done}/{total} cases", end="\n" if done == total else "", file=sys.stderr, flush=True)
