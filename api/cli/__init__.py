"""The `fsbridge` command: one module a group of subcommands, each with a `register(app)`."""

from __future__ import annotations

import typer

from api.cli import amd, call, calls, doctor, flows, keys, serve, simulate, test

app = typer.Typer(
    name="fsbridge",
    help="Outbound calling on your own FreeSWITCH.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for group in (serve, simulate, doctor, flows, keys, call, calls, test, amd):
    group.register(app)
