"""`fsbridge calls`: one call's record, or what happened in it; and the options that every REST command shares."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from api.cli import timeline as timelines
from api.cli.printing import indented_json
from api.cli.rest import Answer, RestClient, RestError

Url = Annotated[str, typer.Option("--url", envvar="FSBRIDGE_URL", help="the service, e.g. http://127.0.0.1:8080")]
Key = Annotated[str, typer.Option("--key", envvar="FSBRIDGE_KEY", help="an API key of the organization")]
Org = Annotated[str, typer.Option("--org", envvar="FSBRIDGE_ORG", help="the organization's UUID")]


Session = Annotated[str, typer.Argument(help="the call's sessionId")]


class ShowByDefault(TyperGroup):
    """`fsbridge calls SESSION` is short for `fsbridge calls show SESSION`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] != "--help":
            args = ["show", *args]
        return super().parse_args(ctx, args)


def record(session: Session, url: Url, key: Key, org: Org) -> None:
    """Print one call's record as JSON."""
    try:
        found = RestClient(url, key, org).call(session)
    except RestError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    show(found)


def timeline(
    session: Session,
    url: Url,
    key: Key,
    org: Org,
    as_json: Annotated[bool, typer.Option("--json", help="as the service has it, for programs")] = False,
) -> None:
    """Print what happened in one call, live or ended, with the seconds since its beginning."""
    try:
        events = RestClient(url, key, org).timeline(session)
    except RestError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    if as_json:
        typer.echo(indented_json(json.dumps(events, ensure_ascii=False)))
    else:
        timelines.show(events)


def show(record: Answer) -> None:
    """The record as indented JSON on stdout, spelled as the service has it."""
    sys.stdout.write(indented_json(record.text) + "\n")


def register(parent: typer.Typer) -> None:
    """Put `calls` under the `fsbridge` command."""
    group = typer.Typer(cls=ShowByDefault, no_args_is_help=True, help="One call's record, or what happened in it.")
    group.command("show")(record)
    group.command("timeline")(timeline)
    parent.add_typer(group, name="calls")
