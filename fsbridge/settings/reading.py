"""The configuration read: one TOML file, `FSBRIDGE_…` environment overrides, checked whole and then frozen.

`load` reads a file and the environment it is given; `parse` is pure. Every fault is reported at once with its
key. An override is named after the key with two underscores between levels: ``FSBRIDGE_SERVICE__LISTEN``,
``FSBRIDGE_AMD__WORKERS``; lists of tables are addressed by index: ``FSBRIDGE_NODES__0__PASSWORD``. Keys become lower
case on the way, so a secret that is to come from there has a lower-case name: ``FSBRIDGE_ORGS__0__SECRETS__CRM``.
This module is the only one that is given the environment.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from fsbridge.errors import ConfigError
from fsbridge.settings.whole import Settings


def parse(document: Mapping[str, Any]) -> Settings:
    """A parsed TOML document as settings. Raises ConfigError with every fault."""
    try:
        return Settings.model_validate(document)
    except ValidationError as error:
        faults = error.errors()
        places = [fault["loc"] for fault in faults]
        # A list with a bad element is reported as too short as well: the element's own fault says it.
        own = [f for f in faults if not any(p != f["loc"] and p[: len(f["loc"])] == f["loc"] for p in places)]
        raise ConfigError(tuple(_explain(fault) for fault in own)) from error


def load(path: Path, environ: Mapping[str, str]) -> Settings:
    """The file with the environment's overrides laid over it.

    Relative directories in the file are taken from the file's own folder. Raises ConfigError.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError((f"{path}: there is no such file; `fsbridge init` writes a commented example",)) from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError((f"{path}: {error}",)) from error
    settings = _from_here(parse(_overlay(document, environ)), path.parent)
    faults = tuple(_missing(settings))
    if faults:
        raise ConfigError(faults)
    return settings


FOLDERS = (("service", "data_dir"), ("flows", "dir"), ("flows", "audio_dir"), ("amd", "keep_audio_dir"))
"""Made where they are not there; what is there must be a folder."""
FILES = (("amd", "weights"), ("amd", "shadow"), ("flows", "requests_ca_file"), ("webhooks", "ca_file"))
"""Must be there."""


def _from_here(settings: Settings, base: Path) -> Settings:
    """With every path of this machine taken from the folder `base`."""
    tables: dict[str, BaseModel] = {}
    for table, key in (*FOLDERS, *FILES):
        values = tables.get(table, getattr(settings, table))
        if (path := getattr(values, key)) is not None:
            tables[table] = values.model_copy(update={key: base / path})
    return settings.model_copy(update=tables)


def _missing(settings: Settings) -> Iterator[str]:
    for table, key in FOLDERS:
        path: Path | None = getattr(getattr(settings, table), key)
        if path is not None and not next(place for place in (path, *path.parents) if os.path.lexists(place)).is_dir():
            yield f"{table}.{key}: {path} is no folder and cannot become one"
    for table, key in FILES:
        path = getattr(getattr(settings, table), key)
        if path is not None and not path.is_file():
            yield f"{table}.{key}: there is no file {path}"


def _overlay(document: dict[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    for variable in sorted(environ):
        if not variable.startswith("FSBRIDGE_") or "__" not in variable:
            continue
        *parents, leaf = variable.removeprefix("FSBRIDGE_").lower().split("__")
        place: Any = document
        try:
            for part in parents:
                place = place[int(part)] if isinstance(place, list) else place.setdefault(part, {})
            place[leaf] = environ[variable]
        except (IndexError, ValueError, TypeError, AttributeError) as error:
            raise ConfigError((f"{variable}: the configuration has no such place to override",)) from error
    return document


def _explain(fault: Any) -> str:
    error = fault.get("ctx", {}).get("error")
    if isinstance(error, ConfigError):
        return str(error)
    key = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        close = difflib.get_close_matches(str(fault["loc"][-1]), sorted(_keys(Settings)), n=1)
        return f"{key}: no such key" + (f"; did you mean {close[0]!r}?" if close else "")
    if fault["type"] == "missing":
        return f"{key}: missing"
    return f"{key}: {fault['msg'].removeprefix('Value error, ')}"


def _keys(table: type[BaseModel]) -> set[str]:
    """Every key of a table and of the tables in it."""
    found = set(table.model_fields)
    for field in table.model_fields.values():
        for kind in (field.annotation, *get_args(field.annotation)):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                found |= _keys(kind)
    return found
