"""Reads a suite and the flow documents that it names. Shell: it reads files.

Documents are checked before anything is placed, and are known to a service under an id that only depends on the
organization, the suite and the document's path in it: a run replaces what an earlier run of the same organization has
put there, and nothing else; a flow's id is one organization's in all of a service.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from fsbridge.flow.document.document import parse as parse_flow
from fsbridge.flow.document.errors import FlowInvalid
from fsbridge.flow.document.source import MAX_BYTES
from fsbridge.suite.document import Suite, SuiteInvalid, is_flow_id, parse

_NAMESPACE = uuid.UUID("5f2b2c8e-4a64-4f0e-9b52-2a5cf1a6d0f3")


@dataclass(frozen=True, slots=True)
class Document:
    """A flow document as it is written. `json` says how."""

    flow_id: str
    path: Path
    text: str
    json: bool


def load(path: Path) -> Suite:
    """The suite in a file. Raises SuiteInvalid."""
    return parse(_text(path), str(path))


def documents(suite: Suite, folder: Path, flows: Iterable[str], org: str = "") -> dict[str, Document]:
    """The documents among `flows` (paths from `folder`, or ids) for an organization, by how they are named.

    Raises SuiteInvalid.
    """
    found: dict[str, Document] = {}
    problems: list[str] = []
    for name in dict.fromkeys(flows):
        if is_flow_id(name):
            continue
        path = folder / name
        try:
            text = _text(path)
            parse_flow(text, str(path))
        except SuiteInvalid as error:
            problems += error.problems
        except FlowInvalid as error:
            problems += error.problems
        else:
            flow_id = str(uuid.uuid5(_NAMESPACE, f"{org}\n{suite.body.name}\n{Path(name).as_posix()}"))
            found[name] = Document(flow_id, path, text, path.suffix == ".json")
    if problems:
        raise SuiteInvalid(problems)
    return found


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
        if len(raw) > MAX_BYTES:
            raise SuiteInvalid([f"{path}: is larger than {MAX_BYTES // 1024} kB"])
        return raw.decode("utf-8")
    except OSError as error:
        raise SuiteInvalid([f"{path}: cannot be read: {error.strerror}"]) from error
    except UnicodeDecodeError as error:
        raise SuiteInvalid([f"{path}: is not UTF-8 text"]) from error
