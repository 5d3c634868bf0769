"""`make bench`: every benchmark in this folder, one table for people, `bench.json` for programs.

Each `bench_*.py` has ``main() -> list[Figure]``; a figure stands beside its peer, measured in the same run, and
the ratio is what to trust: the machine's speed cancels out of it.
"""

from __future__ import annotations

import json
import pkgutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table


def modules() -> list[str]:
    """The benchmarks, by name."""
    folder = str(Path(__file__).parent)
    return sorted(m.name for m in pkgutil.iter_modules([folder]) if m.name.startswith("bench_"))


def run_one(name: str) -> list[dict[str, Any]]:
    """One benchmark in a process of its own, so that none inherits another's patches, threads or memory."""
    code = (
        "from gevent import monkey; monkey.patch_all()\n"
        "import importlib, json\n"
        f"figures = importlib.import_module('tests.bench.{name}').main()\n"
        "print('\\n@@' + json.dumps(figures))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=900, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{name} failed:\n{done.stderr[-4000:]}")
    figures: list[dict[str, Any]] = json.loads(done.stdout.rsplit("@@", 1)[1])
    return figures


def main(arguments: list[str]) -> int:
    """All benchmarks, or those whose names contain one of the arguments."""
    chosen = [name for name in modules() if not arguments or any(word in name for word in arguments)]
    figures = []
    for name in chosen:
        Console(stderr=True).print(f"{name} …")
        figures += run_one(name)
    table = Table(title="fsbridge bench")
    for column in ("figure", "value", "unit", "peer", "peer's value", "ratio"):
        table.add_column(column)
    for figure in figures:
        table.add_row(*(_show(figure.get(key)) for key in ("name", "value", "unit", "peer", "peerValue", "ratio")))
    Console(width=max(Console().width, 150)).print(table)
    Path("bench.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return 0


def _show(value: object) -> str:
    return (
        f"{value:,.3g}"
        if isinstance(value, float) and abs(value) < 1000
        else ""
        if value is None
        else f"{value:,}"
        if isinstance(value, (int, float))
        else str(value)
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
