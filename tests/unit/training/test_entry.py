"""One entry for everything: `python -m training COMMAND`."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from training.__main__ import COMMANDS, main

pytestmark = pytest.mark.unit

ROOT = Path(__file__).resolve().parents[3]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "training", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120, check=False)


def test_help_has_a_line_for_every_command() -> None:
    done = run("--help")
    assert (done.returncode, done.stderr) == (0, "")
    told = dict(re.findall(r"^  (\S+) +(\S.*)$", done.stdout, re.MULTILINE))
    assert told == {name: line for name, (_, line) in COMMANDS.items()}
    assert list(told) == list(COMMANDS)


def test_every_module_with_a_command_line_has_a_command() -> None:
    having = {
        ".".join(path.relative_to(ROOT / "training").with_suffix("").parts)
        for path in (ROOT / "training").rglob("*.py")
        if re.search(r"^def main\(argv", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert having - {"__main__"} == {module for module, _ in COMMANDS.values()}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_tells_its_options_under_its_own_name(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([name, "--help"])
    assert stopped.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: python -m training {name} ")


def test_what_is_no_command_is_refused_with_the_list() -> None:
    for arguments in (["importers"], []):
        done = run(*arguments)
        assert done.returncode == 2
        assert "python -m training COMMAND" in done.stderr
        assert done.stdout == ""


def test_documents_know_only_this_entry() -> None:
    other = re.compile(rf"python -m training(?! (?:{'|'.join(COMMANDS)})\b| COMMAND| --help)\S*")
    told = [
        (str(path.relative_to(ROOT)), found[0])
        for pattern in ("*.md", "*/*.md", "Makefile", "training/**/*.py", "amd_model/**/*.py", "api/**/*.py")
        for path in ROOT.glob(pattern)
        for found in other.finditer(path.read_text(encoding="utf-8"))
    ]
    assert told == []
