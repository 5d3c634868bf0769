"""`fsbridge flows run` and `flows init`: try a document without a switch, and begin with documents that work."""

from __future__ import annotations

import json
import shutil
from importlib.resources import as_file, files
from pathlib import Path
from typing import Annotated, Any

import typer

from api.cli.printing import plain
from fsbridge.flow.document.model import FlowDocument
from fsbridge.flow.document.source import read

USAGE = 2
NUMBER = "+15550399000"
PLACED_S = 600.0
"""How long a flow may take, in its own seconds."""
POLL_S = 0.5
VERDICTS = ("live_person", "answering_machine", "unknown")
TERMINAL = ("Completed", "Failed")


def register(flows: typer.Typer) -> None:
    """Add the commands to the group."""

    @flows.command()
    def run(
        path: Annotated[Path, typer.Argument(help="the flow document")],
        far_end: Annotated[
            str, typer.Option("--far-end", help="who answers: a YAML file of steps, or a built-in far end's name")
        ] = "live_person",
        var: Annotated[list[str] | None, typer.Option("--var", help="NAME=VALUE, a variable of the call")] = None,
        analyse: Annotated[bool, typer.Option("--analyse", help="find out who answered before the flow runs")] = False,
        verdict: Annotated[
            str | None,
            typer.Option("--verdict", help="begin where a call with this verdict does, without finding it out"),
        ] = None,
        speed: Annotated[
            float | None,
            typer.Option("--speed", min=0.1, max=10, help="1 is real time; 10, or 3 for flows that listen"),
        ] = None,
        as_json: Annotated[bool, typer.Option("--json", help="the call and its timeline as JSON")] = False,
    ) -> None:
        """Play a document against the simulator in fast time; print its timeline. Exit code 0: Completed, 1: Failed."""
        from fsbridge import logs
        from fsbridge.errors import FsbridgeError
        from fsbridge.flow.document.document import parse
        from fsbridge.flow.document.errors import FlowInvalid
        from fsbridge.simulator import FarEndError

        logs.configure("human", "error")
        try:
            text = path.read_text(encoding="utf-8")
            document = parse(text, str(path))
            # What a detector needs of real time is as much more of a flow's own.
            speed = speed or (3.0 if document.listens or analyse else 10.0)
            in_json = path.suffix == ".json"
            if verdict is not None:
                text, in_json = _begun(text, document, verdict, analyse), True
            resource, events = _play(path, text, in_json, far_end, _variables(var or []), analyse, speed)
        except (FlowInvalid, FarEndError) as error:
            for problem in error.problems:
                typer.echo(plain(problem), err=True)
            raise typer.Exit(USAGE) from error
        except (FsbridgeError, ValueError, OSError) as error:
            typer.echo(plain(f"cannot run {path}: {error}"), err=True)
            raise typer.Exit(USAGE) from error
        if as_json:
            typer.echo(json.dumps({"call": resource, "events": events}))
        else:
            _tell(resource, events)
        raise typer.Exit(0 if resource["status"] == "Completed" else 1)

    @flows.command()
    def init(folder: Annotated[Path, typer.Argument(help="a folder that is not there yet, or empty")]) -> None:
        """Copy out the examples: flows that work, and a suite of test calls."""
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            typer.echo(f"{folder} is there and not empty; nothing was written", err=True)
            raise typer.Exit(USAGE)
        with as_file(files("fsbridge.flow").joinpath("examples")) as examples:
            shutil.copytree(examples, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__*"))
        for path in sorted(folder.rglob("*.yaml")):
            typer.echo(str(path))
        typer.echo(f"next: fsbridge flows run {folder}/appointment_reminder.yaml --far-end presses_digits")
        typer.echo(f"      fsbridge test {folder}/suites/smoke.yaml --simulate")


def _variables(pairs: list[str]) -> dict[str, Any]:
    """``name=value``; a value that is JSON keeps its type. Raises ValueError."""
    found: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise ValueError(f"--var {pair!r}: write NAME=VALUE")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found


def _begun(text: str, document: FlowDocument, verdict: str, analyse: bool) -> str:
    """The document as JSON, where a call without a verdict begins as one with this verdict does. Raises ValueError."""
    if verdict not in VERDICTS:
        raise ValueError(f"--verdict {verdict!r}: there are {', '.join(VERDICTS)}")
    if analyse:
        raise ValueError("--verdict and --analyse: give one of them")
    value = read(text).value
    if isinstance(value.get("entry"), dict):
        # The two change places: a step that only the default leads to stays one that is reached.
        first, default = (document.body.steps[document.entry(who)].id for who in (verdict, ""))
        value["entry"] |= {"default": first, verdict: default}
    return json.dumps(value)


def _play(
    path: Path, text: str, in_json: bool, far_end: str, variables: dict[str, Any], analyse: bool, speed: float
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    from fsbridge.simulator.time.fasttime import FastTime

    time = FastTime.install()
    from gevent.event import Event as Flag

    from api.embedded import EmbeddedError, embedded
    from fsbridge.model.ids import new_uuid
    from fsbridge.suite.client import Client

    answers = _far_end(far_end)
    audio = path.parent / "audio"
    with embedded([answers], clock=time, audio_dir=audio if audio.is_dir() else None) as running:
        client = Client(running.url, running.org, running.key)
        flow = new_uuid()
        client.put_flow(flow, text, in_json)
        time.go(speed)
        request: dict[str, Any] = {"destinationNumber": NUMBER, "variables": variables}
        if analyse:
            request["callAnalysis"] = list(VERDICTS)
        resource = client.place(flow, request)
        until = time.monotonic() + PLACED_S
        while resource["status"] not in TERMINAL:
            if time.monotonic() > until:
                raise EmbeddedError(f"the flow has not ended within {PLACED_S:.0f} of its own seconds")
            Flag().wait(POLL_S)
            resource = client.call(resource["sessionId"])
        events = client.timeline(resource["sessionId"])
        time.go(1.0)
        return resource, events


def _far_end(name: str) -> Any:
    """The script, answering our number. Raises FarEndError or ValueError."""
    import yaml

    from fsbridge.simulator import FarEnd, default_book, parse_script

    file = Path(name)
    if file.suffix in (".yaml", ".yml", ".json"):
        try:
            steps = yaml.safe_load(file.read_text(encoding="utf-8"))
        except yaml.YAMLError as error:
            raise ValueError(f"{file}: not YAML: {error}") from error
        return parse_script(file.stem, NUMBER, steps, file.parent)
    known = {entry.name: entry for entry in default_book().entries}
    if name not in known:
        raise ValueError(
            f"--far-end: there is no far end {name!r}; there are {', '.join(sorted(known))}, or a YAML file"
        )
    return FarEnd(name, (NUMBER.removeprefix("+"),), known[name].steps)


def _tell(resource: dict[str, Any], events: list[dict[str, Any]]) -> None:
    from api.cli.timeline import show

    show(events)
    if resource.get("flowResult") is not None:
        typer.echo(f"flowResult: {json.dumps(resource['flowResult'])}")
    reason = f" ({resource['failureReason']}: {resource['failureDetail']})" if resource.get("failureReason") else ""
    typer.echo(plain(f"{resource['status']}{reason}"))
