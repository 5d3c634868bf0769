#!/usr/bin/env bash
# typer 0.29.2: it neither needs nor knows click any more; its exceptions and parameters are of a copy of its own.
#
# typer used to be a layer over click (0.12 requires it, and `typer.BadParameter` was `click.BadParameter`). Now typer
# carries a private copy. Code that imports click beside it must install click itself, and even then `except
# click.ClickException` and `isinstance(error, click.UsageError)` do not meet what typer raises.
#
# Surprises because the names, messages and behaviour are the same, so only the class tells them apart. Seen: no click
# after installing typer; with click 8.5.1 beside it, typer's BadParameter is no ClickException of click's.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q typer==0.29.2
if "$folder/venv/bin/python" -I -c 'import click' 2>/dev/null; then
    echo "click came with typer"
    exit 1
fi
echo "no click after installing typer"
"$folder/venv/bin/pip" install -q click==8.5.1
"$folder/venv/bin/python" -I - <<'PYTHON'
import click
import typer

error = typer.BadParameter("no such trunk")
print(type(error).__mro__[1].__qualname__, "of", type(error).__module__)
print("a click.ClickException:", isinstance(error, click.ClickException))
assert not isinstance(error, click.ClickException)
assert not issubclass(typer.Exit, click.exceptions.Exit)
PYTHON
