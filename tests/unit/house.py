"""Our modules as their syntax trees show them: who imports whom. Read by the tests that hold the walls."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("fsbridge", "api", "amd_model", "training")


@cache
def modules() -> dict[str, ast.Module]:
    """Every module of every package, by its dotted name."""
    found = {}
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            found[name] = ast.parse(path.read_text(encoding="utf-8"))
    return found


def is_package(name: str) -> bool:
    return any(other.startswith(f"{name}.") for other in modules())


def says_only(tree: ast.Module) -> bool:
    """Whether a package's `__init__` holds nothing but the sentence that says what belongs there."""
    return not tree.body[ast.get_docstring(tree) is not None :]


def nodes(tree: ast.AST, *, typing_too: bool) -> Iterator[ast.AST]:
    """Every node; with `typing_too` also those that only a type checker reads."""
    yield tree
    for child in ast.iter_child_nodes(tree):
        unread = isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING")
        if typing_too or not unread:
            yield from nodes(child, typing_too=typing_too)


def imported_names(name: str, *, typing_too: bool = False) -> Iterator[tuple[str, str]]:
    """What a module imports anywhere in it: the module it comes from, and the name taken ("" for the module itself).

    ``from package import module`` gives the module where it is one of ours.
    """
    for node in nodes(modules()[name], typing_too=typing_too):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = name.split(".")
                kept = parts[: len(parts) - node.level + is_package(name)]
                base = ".".join([*kept, *([node.module] if node.module else [])])
            for alias in node.names:
                deeper = f"{base}.{alias.name}"
                yield (deeper, "") if deeper in modules() else (base, alias.name)


def within(name: str, packages: frozenset[str]) -> bool:
    """Whether a dotted name is one of the packages or inside one."""
    parts = name.split(".")
    return any(".".join(parts[:depth]) in packages for depth in range(1, len(parts) + 1))
