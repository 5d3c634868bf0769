"""Which recogniser a worker uses: the one that was asked for, or whichever is there."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Final

from amd_model.words.install import InstallError, installed

AUTO: Final = ("tiny.en", "base", "small")
"""In this order: the cheapest first. Who needs other languages than English names one."""
NEEDED: Final = ("ctranslate2", "faster_whisper")


def chosen(wanted: str) -> tuple[Path | None, str]:
    """The folder of the recogniser, or None and why: ``off``, or ``auto`` with nothing to be had.

    Raises InstallError or UnknownModel where one was named that is not there.
    """
    if wanted == "off":
        return None, "turned off"
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        told = f"{' and '.join(missing)} not installed: pip install 'fsbridge[words]'"
        if wanted != "auto":
            raise InstallError(told)
        return None, told
    if wanted != "auto":
        return installed(wanted), ""
    for name in AUTO:
        try:
            return installed(name), ""
        except InstallError:
            continue
    return None, "no recogniser is installed: `fsbridge amd words install` fetches one"
