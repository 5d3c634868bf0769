"""The house's walls: pure modules stay pure, and rooms import in one direction only.

A module is held to be pure if the house's plan says so (`PLANNED`) or its own docstring does ("… Pure."). What it
brings along is seen by importing it in an interpreter that nobody has patched; what it might bring along some day
(an import inside a function) is seen in its syntax tree.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache

import pytest

from tests.unit.house import PACKAGES, ROOT, imported_names, modules, says_only, within

pytestmark = pytest.mark.unit


PLANNED = {
    "fsbridge": ("errors", "clock"),
    "fsbridge.settings": (
        *("amd", "dialing", "flows", "inbound", "kinds", "nodes", "orgs", "reading", "service", "webhooks", "whole"),
    ),
    "fsbridge.model": ("call", "destination", "ids", "json", "moment", "notice", "outcome", "request", "status"),
    "fsbridge.esl": ("framing", "events", "commands", "dialstring", "session", "causes", "errors"),
    "fsbridge.dialing": ("destinations", "onward", "trunks"),
    "fsbridge.call.lifecycle": (
        *("analysis", "arrivals", "effects", "endings", "history", "inputs"),
        *("machine", "moves", "timeline", "translate"),
    ),
    "fsbridge.amd": ("fork", "policy"),
    "fsbridge.flow.document": (
        *("document", "errors", "expectation", "expression", "faults", "model", "parts", "paths", "reading"),
        *("source", "template"),
    ),
    "fsbridge.flow.interpreter": ("actions", "bot", "interpreter", "outcomes", "plan"),
    "fsbridge.flow.listening": ("expect", "hearing"),
    "fsbridge.webhook": ("patience", "payload", "schedule", "signing"),
    "fsbridge.store": ("base",),
    "amd_model": ("verdict",),
    "amd_model.detector": ("spec", "pcm", "decision"),
    "amd_model.listening": ("likeness", "hearing"),
    "api.contract": ("call_resource", "error_body", "health", "place_call", "shapes"),
    "api.rest": ("auth",),
}
"""Package → its modules that are pure by plan. `store.base` is interfaces and the values that go through them."""

WHOLE = "fsbridge.simulator"
"""A package that loads its server when any of it is imported: its modules' word is taken for their own imports only."""

SHELL_LIBRARIES = frozenset(
    {
        *("gevent", "greenlet", "greenswitch", "torch", "torchaudio", "bottle", "requests", "urllib3", "redis"),
        *("sqlite3", "structlog", "prometheus_client", "typer", "rich", "soundfile"),
        *("websockets.sync", "websockets.asyncio", "websockets.legacy", "websockets.client", "websockets.server"),
    }
)
"""What must not even be loaded after a pure module was imported: each opens sockets or files, or weighs too much."""

SHELL_MODULES = SHELL_LIBRARIES | {
    *("socket", "ssl", "select", "selectors", "socketserver", "asyncio", "threading", "multiprocessing", "subprocess"),
    *("signal", "time", "http.client", "http.server", "smtplib", "urllib.request", "concurrent", "logging"),
}
"""What a pure module must not import itself. Some come with libraries that do no harm (pydantic knows sockets)."""

CLOCK = {("fsbridge.clock", "time")}
"""The one place where time is read; everybody else is given a Clock."""


def declares_itself_pure(tree: ast.Module) -> bool:
    return re.search(r"\bPure\b", ast.get_docstring(tree) or "") is not None


def planned() -> set[str]:
    return {f"{package}.{module}" for package, names in PLANNED.items() for module in names}


@cache
def pure() -> list[str]:
    """Every module that is held to be pure."""
    return sorted(planned() | {name for name, tree in modules().items() if declares_itself_pure(tree)})


@cache
def pure_alone() -> list[str]:
    """Those that can be imported without their package's shell."""
    return [name for name in pure() if not within(name, frozenset({WHOLE}))]


def imports(name: str) -> Iterator[str]:
    """Dotted names that a module imports anywhere in it when it runs, as modules where they are some of ours."""
    for base, taken in imported_names(name):
        deeper = f"{base}.{taken}"
        yield deeper if deeper in SHELL_MODULES else base


def test_what_is_planned_to_be_pure_exists_and_the_reader_sees_the_rest() -> None:
    assert planned() <= set(modules())
    assert len(pure_alone()) > len(planned())
    assert "fsbridge.esl.client" not in pure()
    assert "gevent" in set(imports("fsbridge.esl.client"))
    assert "fsbridge.esl.session" in set(imports("fsbridge.esl.client"))


def test_pure_modules_bring_no_shell_along() -> None:
    """In a fresh interpreter, one after the other: the first module that loads a library is the one that is named."""
    script = (
        "import importlib, json, sys\n"
        "names, shell = json.loads(sys.stdin.read())\n"
        "seen, brought = set(sys.modules) & set(shell), {}\n"
        "for name in names:\n"
        "    importlib.import_module(name)\n"
        "    new = (set(sys.modules) & set(shell)) - seen\n"
        "    seen |= new\n"
        "    if new: brought[name] = sorted(new)\n"
        "print(json.dumps(brought))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        input=json.dumps([pure_alone(), sorted(SHELL_LIBRARIES)]),
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {}


def test_the_fresh_interpreter_would_see_a_shell() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import sys, fsbridge.esl.client; print('gevent' in sys.modules)"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
        check=True,
    )
    assert done.stdout.strip() == "True"


@pytest.mark.parametrize("name", pure())
def test_a_pure_module_imports_no_shell(name: str) -> None:
    found = {imported for imported in imports(name) if within(imported, SHELL_MODULES)}
    assert {(name, imported) for imported in found} <= CLOCK


@pytest.mark.parametrize("name", pure_alone())
def test_a_pure_module_imports_only_pure_ones_of_ours(name: str) -> None:
    ours = {imported for imported in imports(name) if within(imported, frozenset(PACKAGES))}
    allowed = {*pure(), *(package for package in modules() if says_only(modules()[package]))}
    assert ours <= allowed


@pytest.mark.parametrize("name", pure())
def test_a_pure_module_reads_no_clock(name: str) -> None:
    """`datetime` is a value, `datetime.now()` is a clock."""
    read = [
        ast.unparse(node)
        for node in ast.walk(modules()[name])
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in {"now", "utcnow", "today", "monotonic", "perf_counter", "time_ns"}
        and not (isinstance(node.func.value, ast.Name) and node.func.value.id == "self")
    ]
    assert not read or name == "fsbridge.clock"


MAY_IMPORT = {
    "fsbridge": frozenset({"fsbridge", "amd_model.verdict", "amd_model.listening.likeness", "amd_model.sound.files"}),
    "api": frozenset({"api", "fsbridge", "amd_model.verdict"}),
    "amd_model": frozenset({"amd_model"}),
    "training": frozenset({"training", "amd_model"}),
}
"""api → fsbridge → three doors of amd_model, none of which loads torch; training → amd_model; and nothing back."""


@pytest.mark.parametrize("room", PACKAGES)
def test_rooms_import_in_one_direction(room: str) -> None:
    wrong = {
        (name, imported)
        for name in modules()
        if within(name, frozenset({room}))
        for imported in imports(name)
        if within(imported, frozenset({*PACKAGES, "tests"})) and not within(imported, MAY_IMPORT[room])
    }
    assert not wrong


def calls(name: str) -> Iterator[str]:
    for node in ast.walk(modules()[name]):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func)


def test_only_the_launchers_patch() -> None:
    patching = {name for name in modules() if any(call.endswith(("patch_all", "patch_socket")) for call in calls(name))}
    assert patching == {"api.__main__", "amd_model.__main__"}


def test_greenlets_have_one_maker() -> None:
    makers = {"gevent.spawn", "gevent.spawn_later", "Greenlet", "Greenlet.spawn", "gevent.Greenlet", "gevent.spawn_raw"}
    making = {name for name in modules() if set(calls(name)) & makers}
    assert making <= {"fsbridge.supervise"}
