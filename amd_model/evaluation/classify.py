"""``python -m amd_model classify FILE…``: one JSON line a file, on the same path that serves calls.

``{"file","verdict","confidence","decidedAtMs","beepAtMs"}`` and the reason; a file that cannot be analysed
gives ``{"file","error"}`` instead and exit code 1, the others are still done, and the last line on standard error
says how many were left out. A verdict that was corrected before the end is given as corrected, with ``firstVerdict``
beside it.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from amd_model.detector.checkpoint import CheckpointError, LoadedModel, load
from amd_model.detector.detector import Detector
from amd_model.evaluation.files import read, to_pcm
from amd_model.sound import option
from amd_model.sound.files import AudioError, Headerless
from amd_model.verdict import AmdEvent, AmdOptions, EventKind, Mode


def classify(
    model: LoadedModel, path: str, options: AmdOptions, otherwise: Headerless | None = None
) -> dict[str, object]:
    """One file's result as the JSON object above. Raises AudioError.

    ``otherwise`` is what the file holds if no header is found in it.
    """
    detector = Detector(model, options)
    events = detector.feed(to_pcm(read(path, otherwise))) + detector.finish()
    return _body(path, events)


def _body(path: str, events: Sequence[AmdEvent]) -> dict[str, object]:
    first = next(event for event in events if event.kind is EventKind.VERDICT)
    verdict = next((event for event in events if event.kind is EventKind.CORRECTION), first)
    beep = next((event.beep_ms for event in events if event.beep_ms is not None), None)
    assert verdict.result is not None
    body: dict[str, object] = {
        "file": path,
        "verdict": verdict.result.value,
        "confidence": round(verdict.confidence, 4),
        "decidedAtMs": verdict.at_ms,
        "beepAtMs": beep,
        "reason": verdict.reason.value if verdict.reason else None,
    }
    if verdict is not first and first.result is not None:
        body["firstVerdict"] = first.result.value
    return body


def run(argv: Sequence[str]) -> int:
    """Command line: 0 when every file was analysed, 1 when one was refused, 2 for a wrong call or model."""
    parser = argparse.ArgumentParser(
        "python -m amd_model classify", description="Say who answered, one JSON line a file."
    )
    parser.add_argument("files", nargs="+", metavar="FILE")
    parser.add_argument("--weights", type=Path, help="another model than the shipped one")
    parser.add_argument(
        "--sensitivity", type=float, default=1.0, help="cost of taking a machine for a person, 0.1 to 10"
    )
    option.add_to(parser)
    try:
        options = parser.parse_args(argv)
        amd = AmdOptions(mode=Mode.MESSAGE_END, sensitivity=options.sensitivity)
        model = load(options.weights)
    except SystemExit as stop:
        return 0 if stop.code == 0 else 2
    except (CheckpointError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    refused = 0
    for path in options.files:
        try:
            body = classify(model, path, amd, options.headerless)
        except AudioError as error:
            body = {"file": path, "error": str(error)}
            refused += 1
        print(json.dumps(body, ensure_ascii=False), flush=True)
    if refused:
        print(f"{refused} of {len(options.files)} files left out", file=sys.stderr)
    return 1 if refused else 0
