"""The house's floors: each room imports only from rooms below it, and no two modules import each other in a circle.

What only a type checker reads counts as well: a circle of types is a circle.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tests.unit.house import ROOT, imported_names, is_package, modules, says_only

pytestmark = pytest.mark.unit

FLOORS: tuple[str, ...] = (
    # the detector
    "amd_model.verdict",
    "amd_model.sound",
    "amd_model.detector",
    "amd_model.words",
    "amd_model.listening",
    "amd_model.websocket",
    "amd_model.evaluation",
    "amd_model.worker",
    "amd_model",
    # its training
    "training.words",
    "training.telephone",
    "training.corpus",
    "training.composition",
    "training.learning",
    "training.studies",
    "training",
    # control of FreeSWITCH: what is truly shared
    "fsbridge.errors",
    "fsbridge.clock",
    "fsbridge.near",
    "fsbridge.logs",
    "fsbridge.supervise",
    "fsbridge.model",
    "fsbridge.settings",
    "fsbridge.metrics",
    # the switch, and what surrounds it
    "fsbridge.esl",
    "fsbridge.nodes",
    "fsbridge.amd",
    "fsbridge.dialing",
    "fsbridge.store",
    "fsbridge.egress",
    "fsbridge.webhook",
    # flows, then calls
    "fsbridge.flow.document",
    "fsbridge.flow.listening",
    "fsbridge.flow.interpreter",
    "fsbridge.flow.library",
    "fsbridge.call.lifecycle",
    "fsbridge.call.conversation",
    "fsbridge.call.running",
    # the embedded FreeSWITCH
    "fsbridge.simulator.time",
    "fsbridge.simulator.protocol",
    "fsbridge.simulator.audio",
    "fsbridge.simulator.farends",
    "fsbridge.simulator.settings",
    "fsbridge.simulator.faults",
    "fsbridge.simulator.switch",
    "fsbridge.simulator.legs",
    "fsbridge.simulator.applications",
    "fsbridge.simulator.taps",
    "fsbridge.simulator.socket",
    "fsbridge.simulator.simulator",
    "fsbridge.simulator",
    # what looks at the whole
    "fsbridge.suite",
    "fsbridge.doctor",
    "fsbridge",
    # what people and programs call
    "api.contract",
    "api.http",
    "api.openapi",
    "api.rest",
    "api.process",
    "api.main",
    "api.embedded",
    "api.demo",
    "api.cli",
    "api",
)
"""Every room, from the ground up. A module belongs to the longest name that it begins with."""

MOST_MODULES = 14
"""In one room: about twelve, which a newcomer takes in at one look."""


def room(name: str) -> str:
    """The room of a module."""
    parts = name.split(".")
    return next(room for depth in range(len(parts), 0, -1) if (room := ".".join(parts[:depth])) in FLOORS)


def ours(name: str) -> Iterator[tuple[str, str]]:
    """What a module imports of ours: the other module, and the name taken from it."""
    for imported, taken in imported_names(name, typing_too=True):
        if imported in modules() and imported != name:
            yield imported, taken


def upward(name: str, imported: str) -> bool:
    """Whether an import goes up. A package's face may name what lies inside it, and nobody inside may look at it."""
    return FLOORS.index(room(imported)) > FLOORS.index(room(name))


def circles() -> list[list[str]]:
    """Modules that import each other in a loop, by Tarjan's algorithm; `__init__` faces count like any module."""
    graph = {name: sorted({imported for imported, _ in ours(name)}) for name in modules()}
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for other in graph[name]:
            if other not in index:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], index[other])
        if low[name] == index[name]:
            loop = stack[stack.index(name) :]
            del stack[stack.index(name) :]
            if len(loop) > 1:
                found.append(sorted(loop))

    for name in graph:
        if name not in index:
            visit(name)
    return found


def test_the_table_names_rooms_that_exist() -> None:
    assert set(FLOORS) <= set(modules())
    assert len(set(FLOORS)) == len(FLOORS)


def test_the_reader_sees_imports() -> None:
    assert ("fsbridge.esl.session", "EslSession") in set(ours("fsbridge.esl.client"))
    assert upward("fsbridge.model.call", "fsbridge.call.running.service")
    assert not upward("fsbridge.call.running.service", "fsbridge.model.call")


def test_no_import_goes_up() -> None:
    wrong = [
        f"{name} takes {taken or 'all'} of {imported}"
        for name in sorted(modules())
        for imported, taken in ours(name)
        if upward(name, imported)
    ]
    assert not wrong, "\n".join(wrong)


def test_nobody_imports_in_a_circle() -> None:
    told = [
        f"{name} takes {taken or 'all'} of {imported}"
        for loop in circles()
        for name in loop
        for imported, taken in ours(name)
        if imported in loop
    ]
    assert not told, "\n".join(told)


def test_rooms_are_small_enough_to_look_round_in() -> None:
    sizes: dict[str, int] = {}
    for name in modules():
        if not is_package(name):
            folder = name.rpartition(".")[0]
            sizes[folder] = sizes.get(folder, 0) + 1
    assert {folder: size for folder, size in sizes.items() if size > MOST_MODULES} == {}


def test_every_room_says_what_belongs_there() -> None:
    """A sentence in `__init__.py`; the face itself stays empty, so that importing a room loads nothing."""
    silent = [name for name in sorted(modules()) if is_package(name) and not ast.get_docstring(modules()[name])]
    assert not silent, silent
    faces = {name for name in modules() if is_package(name) and not says_only(modules()[name])}
    assert faces <= {"fsbridge.simulator", "api.cli", "amd_model.verdict"}  # the last: a door of three pure modules


def test_the_walks_in_the_book_are_files_that_exist() -> None:
    """CONTRIBUTING.md tells two walks as lists of files; a file that moves takes its place in the walk along."""
    book = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    _, _, walks = book.partition("## Two walks")
    walks, _, _ = walks.partition("\n## ")
    files = [word.strip("`") for word in walks.split() if word.strip("`").endswith(".py")]
    assert len(files) > 20
    assert [file for file in files if not (ROOT / file).is_file()] == []
