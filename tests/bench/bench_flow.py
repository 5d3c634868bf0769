"""Flow interpreter: steps a second on one core, beside a bare loop over the same number of dictionary copies."""

from __future__ import annotations

import time
from typing import Any

from fsbridge.flow.document.document import parse
from fsbridge.flow.interpreter.actions import Executed
from fsbridge.flow.interpreter.interpreter import Facts, resume, start

DOCUMENT = """
variables: {name: Alex, tries: 0}
steps:
  - {id: hello, speak: 'Hello {{ name }}, this is your reminder.'}
  - {id: note, set: {said: 'hello to {{ name }}'}}
  - id: check
    branch: [{when: tries == 3 or name == "Nobody", next: hello}]
  - {id: wait, pause: 1}
  - {id: again, play: 'tone_stream://%(200,0,880)', next: hello}
"""
FACTS = Facts("11111111-1111-4111-8111-111111111111", "+15550100001", "+15550100100", "live_person")
STEPS = 100_000


def main() -> list[dict[str, Any]]:
    """One figure: steps a second."""
    document = parse(DOCUMENT)
    began = time.perf_counter()
    turn = start(document, {}, FACTS, max_steps=STEPS)
    while turn.end is None:
        turn = resume(turn.state, Executed("FILE PLAYED"))
    rate = STEPS / (time.perf_counter() - began)
    variables = {f"v{number}": number for number in range(8)}
    began = time.perf_counter()
    for number in range(STEPS):
        variables = {**variables, "v0": number}
    peer = STEPS / (time.perf_counter() - began)
    return [
        {
            "name": "flow steps",
            "value": round(rate),
            "unit": "steps/s",
            "peer": "dictionary copy a step",
            "peerValue": round(peer),
            "ratio": round(rate / peer, 3),
        }
    ]
