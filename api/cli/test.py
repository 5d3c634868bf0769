"""`fsbridge test`: place the calls of a suite, compare what they came to, report."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli.printing import plain

if TYPE_CHECKING:
    from fsbridge.suite.document import Planned
    from fsbridge.suite.load import Document
    from fsbridge.suite.result import CallReport
    from fsbridge.suite.run import Target

USAGE = 2
SIMULATED_POLL_S = 0.1


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def test(
        suite: Annotated[Path, typer.Argument(help="the suite: a YAML or JSON document")],
        env: Annotated[str | None, typer.Option("--env", help="environment of the suite to test in")] = None,
        simulate: Annotated[
            bool, typer.Option("--simulate", help="against a simulated node in this process, with each call's far_end")
        ] = False,
        only: Annotated[str | None, typer.Option("--only", help="only calls whose name holds this")] = None,
        concurrency: Annotated[
            int | None, typer.Option("--concurrency", min=1, max=500, help="calls at a time")
        ] = None,
        junit: Annotated[Path | None, typer.Option("--junit", help="write JUnit XML here")] = None,
        html: Annotated[Path | None, typer.Option("--html", help="write a page with timelines and audio here")] = None,
        speed: Annotated[float, typer.Option("--speed", min=0.1, max=10, help="pace of a simulation")] = 1.0,
    ) -> None:
        """Place a suite's calls and compare the outcomes. Exit code 0: all as expected, 1: not all, 2: cannot test."""
        from fsbridge import logs
        from fsbridge.errors import FsbridgeError
        from fsbridge.suite import document, load
        from fsbridge.suite.document import SuiteInvalid

        logs.configure("human", "error")
        try:
            found = load.load(suite)
            name, place = document.environment(found, env, simulate)
            planned = document.plan(found, name, place, only=only, simulate=simulate)
            named = [call.flow for call in planned] + [_flow_of(call) for call in planned if _flow_of(call)]
            documents = load.documents(found, suite.parent, named, "" if simulate else str(place.org))
            at_once = concurrency or found.body.concurrency
            reporter = _Reporter(found.body.name, name, junit, html)
            if simulate:
                with _simulation(planned, documents, suite.parent, speed, html is not None) as target:
                    passed = reporter.run(target, planned, documents, at_once)
            else:
                # The suite says which variable holds the key, so that the key itself stands in no file.
                key = os.environ.get(place.key_env or "", "")  # noqa: TID251
                if not key:
                    raise SuiteInvalid([f"{suite}: the API key of {name} is missing: set {place.key_env}"])
                passed = reporter.run(_service(str(place.url), str(place.org), key), planned, documents, at_once)
        except SuiteInvalid as invalid:
            for problem in invalid.problems:
                typer.echo(plain(problem), err=True)
            raise typer.Exit(USAGE) from invalid
        except (FsbridgeError, OSError) as error:
            typer.echo(plain(f"cannot test: {error}"), err=True)
            raise typer.Exit(USAGE) from error
        raise typer.Exit(0 if passed else 1)


class _Reporter:
    """Tells of each call as it ends, and writes the reports."""

    def __init__(self, suite: str, environment: str, junit: Path | None, html: Path | None) -> None:
        self._suite, self._environment, self._junit, self._html = suite, environment, junit, html

    def run(self, target: Target, planned: list[Planned], documents: dict[str, Document], at_once: int) -> bool:
        """Whether all was as expected."""
        from fsbridge.suite.junit import junit
        from fsbridge.suite.page import page
        from fsbridge.suite.result import SuiteReport
        from fsbridge.suite.run import put_documents, run

        typer.echo(f"{self._suite} · {self._environment}: {len(planned)} calls, {at_once} at a time")
        began, started_at = target.clock.monotonic(), target.clock.wall()
        put_documents(target, documents)
        flow_ids = {name: document.flow_id for name, document in documents.items()}
        calls = run(target, planned, flow_ids, at_once, self._tell, audio=self._html is not None)
        report = SuiteReport(self._suite, self._environment, started_at, target.clock.monotonic() - began, calls)
        if self._junit is not None:
            self._junit.write_bytes(junit(report))
        if self._html is not None:
            self._html.write_text(page(report), encoding="utf-8")
        good = sum(call.passed for call in calls)
        typer.echo(f"{good} of {len(calls)} as expected, {report.took_s:.1f} s")
        return report.passed

    @staticmethod
    def _tell(call: CallReport) -> None:
        from fsbridge.flow.document.faults import printable
        from fsbridge.suite.result import broken_steps

        mark = typer.style("ok  ", fg="green") if call.passed else typer.style("FAIL", fg="red")
        typer.echo(f"{mark} {printable(call.planned.title)} ({call.took_s:.1f} s)")
        if not call.passed:
            told: Iterable[str] = (call.error,) if call.error else (*call.faults, *broken_steps(call.events))
            for line in told:
                typer.echo(f"       {printable(line)}")


def _service(url: str, org: str, key: str) -> Target:
    from fsbridge.clock import SystemClock
    from fsbridge.suite.client import Client
    from fsbridge.suite.run import Target
    from fsbridge.supervise import Supervisor

    return Target(lambda: Client(url, org, key), SystemClock(), Supervisor())


def _flow_of(call: Planned) -> str:
    """The document that plays the far end in a simulation, if one does."""
    from fsbridge.suite.model import FLOW_SCHEME

    far_end = call.far_end
    return far_end.removeprefix(FLOW_SCHEME) if isinstance(far_end, str) and far_end.startswith(FLOW_SCHEME) else ""


@contextmanager
def _simulation(
    planned: list[Planned], documents: dict[str, Document], folder: Path, speed: float, keep_audio: bool
) -> Iterator[Target]:
    """A simulated node on which each call's number is answered by the call's far end: a script, or a flow of ours."""
    from api.embedded import embedded
    from fsbridge.simulator import FarEnd, default_book, parse_script
    from fsbridge.suite.client import Client
    from fsbridge.suite.document import SuiteInvalid, destination_of
    from fsbridge.suite.run import Target
    from fsbridge.supervise import Supervisor

    ours = {entry.name: entry for entry in default_book().entries}
    far_ends, inbound = [], {}
    for call in {each.place: each for each in planned}.values():
        number = destination_of(call)
        flow = _flow_of(call)
        if flow:
            inbound[number] = documents[flow].flow_id
        elif isinstance(call.far_end, str):
            if call.far_end not in ours:
                known = ", ".join(sorted(ours))
                raise SuiteInvalid([f"call {call.name}: far_end: there is no {call.far_end!r}; there are {known}"])
            far_ends.append(FarEnd(call.name, (number.removeprefix("+"),), ours[call.far_end].steps))
        elif call.far_end is not None:
            far_ends.append(parse_script(call.name, number, call.far_end, folder))
    audio = folder / "audio"
    with embedded(
        far_ends, inbound, speed=speed, keep_audio=keep_audio, audio_dir=audio if audio.is_dir() else None
    ) as running:
        clock = running.service.clock
        yield Target(lambda: Client(running.url, running.org, running.key), clock, Supervisor(), SIMULATED_POLL_S)
