"""The suite reads what the project holds, and nothing that happens to lie beside the checkout."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

ROOT = Path(__file__).resolve().parents[2]
UP = re.compile(r"__file__\)?(?:\.resolve\(\))?\.parents\[(\d+)\]")
BESIDE = re.compile(r"ROOT\.parent\b|\.parents\[-|(?<!\w)amd-data/|\.\./shared")


def sources() -> list[Path]:
    return [path for folder in ("tests", "training", "amd_model") for path in (ROOT / folder).rglob("*.py")]


def test_nothing_climbs_above_the_checkout() -> None:
    above = [
        str(path.relative_to(ROOT))
        for path in sources()
        for found in UP.finditer(path.read_text(encoding="utf-8"))
        if int(found[1]) >= len(path.relative_to(ROOT).parts)
    ]
    assert above == []


def test_nothing_names_a_folder_beside_it() -> None:
    named = [
        str(path.relative_to(ROOT))
        for path in sources()
        if path != Path(__file__) and BESIDE.search(path.read_text(encoding="utf-8"))
    ]
    assert named == []
