"""`fsbridge calls SESSION`: print one call's record, and the options that every REST command shares."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import orjson
import typer

from api.cli.rest import RestClient, RestError

Url = Annotated[str, typer.Option("--url", envvar="FSBRIDGE_URL", help="the service, e.g. http://127.0.0.1:8080")]
Key = Annotated[str, typer.Option("--key", envvar="FSBRIDGE_KEY", help="an API key of the organization")]
Org = Annotated[str, typer.Option("--org", envvar="FSBRIDGE_ORG", help="the organization's UUID")]


def calls(
    session: Annotated[str, typer.Argument(help="the call's sessionId")],
    url: Url,
    key: Key,
    org: Org,
) -> None:
    """Print one call's record as JSON."""
    try:
        record = RestClient(url, key, org).call(session)
    except RestError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    show(record)


def show(record: dict[str, Any]) -> None:
    """The record as indented JSON on stdout."""
    sys.stdout.write(orjson.dumps(record, option=orjson.OPT_INDENT_2).decode() + "\n")


def register(parent: typer.Typer) -> None:
    """Put `calls` under the `fsbridge` command."""
    parent.command("calls")(calls)
