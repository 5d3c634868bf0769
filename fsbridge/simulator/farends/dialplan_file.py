"""Reads the extensions of a far-end file: numbers that lead into the node's own dialplan. Pure.

::

    inbound:
      - match: "+1999*"                                 # or a list
        set: {fsbridge_inbound: support}                # variables, in this order
        run: [{playback: hello.wav}, answer, park]      # applications; without it: park
        context: public                                 # default: for transfers
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from fsbridge.simulator.farends.dialplan import DEFAULT, PUBLIC, Action, Extension
from fsbridge.simulator.farends.numbers import read_patterns

KEYS = ("match", "set", "run", "context")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")


def parse_extensions(items: object, problems: list[str]) -> tuple[Extension, ...]:
    """The extensions of the key `inbound`; what is wrong is added to `problems`, with its place."""
    if not isinstance(items, list):
        problems.append("inbound: must be a list of extensions")
        return ()
    return tuple(_extension(item, f"inbound[{index}]", problems) for index, item in enumerate(items))


def _extension(item: object, place: str, problems: list[str]) -> Extension:
    if not isinstance(item, Mapping):
        problems.append(f"{place}: must be a mapping of {', '.join(KEYS)}")
        return Extension((), ())
    for key in sorted(set(map(str, item)) - set(KEYS)):
        problems.append(f"{place}.{key}: unknown; known are {', '.join(KEYS)}")
    patterns = read_patterns(item.get("match"), f"{place}.match", problems)
    context = item.get("context", PUBLIC)
    if context not in (PUBLIC, DEFAULT):
        problems.append(f"{place}.context: must be {PUBLIC} (calls that come in) or {DEFAULT} (transfers)")
        context = PUBLIC
    actions = [*_variables(item.get("set", {}), f"{place}.set", problems)]
    run = item.get("run", ["park"])
    if not isinstance(run, list) or not run:
        problems.append(f"{place}.run: must be a list of applications")
        run = []
    actions += [_action(entry, f"{place}.run[{index}]", problems) for index, entry in enumerate(run)]
    return Extension(patterns, tuple(actions), str(context))


def _variables(values: object, place: str, problems: list[str]) -> list[Action]:
    if not isinstance(values, Mapping):
        problems.append(f"{place}: must be a mapping from variables to values")
        return []
    for name in values:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            problems.append(f"{place}: {name!r} is no variable's name")
    return [("set", f"{name}={value}") for name, value in values.items()]


def _action(entry: object, place: str, problems: list[str]) -> Action:
    if isinstance(entry, str) and entry:
        return entry, ""
    if isinstance(entry, Mapping) and len(entry) == 1:
        name, argument = next(iter(entry.items()))
        if isinstance(name, str) and name:
            return name, "" if argument is None else str(argument)
    problems.append(f"{place}: must be an application, or a mapping from one to its argument")
    return "", ""
