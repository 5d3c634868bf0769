"""``{{ variables }}`` in a flow's texts, and what of the result may enter an application's argument. Pure.

A template looks names up and does nothing else. What comes out is a customer's data, so it is checked against an
allow-list for the place where it goes: FreeSWITCH expands ``${…}`` and reads ``|``, quotes and backslashes in
application arguments, so none of them may arrive there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from fsbridge.flow.document.expression import lookup
from fsbridge.flow.document.work import ANY, Work

_PLACE = re.compile(r"\{\{\s*([A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z0-9_]+)*)\s*\}\}")
OPEN = re.compile(r"\{\{|\}\}")

MAX_TEXT = 8_000
"""Characters that a template may grow to: `set` in a circle could double a text until memory ends."""
MAX_URL = 2_000
MAX_DEPTH = 20
MAX_DATA = 65_536
"""Characters of a request's body, an event's data or a flow's result, about."""
_LARGEST = 10**30
"""Python refuses to write very large integers at all; nobody has a use for one here."""

_FILE = re.compile(r"/?[A-Za-z0-9_][A-Za-z0-9_.-]*(?:/[A-Za-z0-9_][A-Za-z0-9_.-]*)*")
_STREAM = re.compile(r"(?:tone_stream://[A-Za-z0-9%(),.;=+-]{1,300}|silence_stream://[1-9][0-9]{0,6})")
"""Of silence at least a millisecond: of none FreeSWITCH plays for ever."""
_URL = re.compile(r"https?://([A-Za-z0-9.-]{1,253})(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~%/-]{0,500})?")
_END = re.compile(r"[/?#]")
_HOST = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252})|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")


class TemplateError(ValueError):
    """A template names what is not there, or its result may not go where it should; the message says which."""


def names(text: str) -> set[str]:
    """The variables that a template reads. Raises TemplateError when its braces are no template."""
    if OPEN.search(_PLACE.sub("", text)):
        raise TemplateError("has {{ or }} that is no {{ variable }}")
    if len(literal(text)) > MAX_TEXT:
        raise TemplateError(f"is longer than {MAX_TEXT} characters")
    return {found.split(".")[0] for found in _PLACE.findall(text)}


def render(text: str, variables: Mapping[str, Any], work: Work = ANY) -> str:
    """The text with its variables put in.

    Raises TemplateError for a variable that is undefined or no plain value, and for a text that grows too long;
    OutOfWork.
    """
    length = len(text)
    work.spend(1 + length // 50)

    def value(match: re.Match[str]) -> str:
        nonlocal length
        found = _plain(match[1], lookup(match[1], variables))
        length += len(found)
        if length > MAX_TEXT:
            raise TemplateError(f"the text becomes longer than {MAX_TEXT} characters")
        work.spend(1 + len(found) // 200)
        return found

    return _PLACE.sub(value, text)


def _plain(name: str, value: Any) -> str:
    match value:
        case None:
            raise TemplateError(f"variable {name!r} is not defined")
        case bool():
            return "true" if value else "false"
        case float() if value.is_integer():
            return str(int(value))
        case str() | float():
            return str(value)
        case int() if abs(value) < _LARGEST:
            return str(value)
        case _:
            raise TemplateError(f"variable {name!r} is no text or number")


def render_data(value: Any, variables: Mapping[str, Any], work: Work = ANY) -> Any:
    """A document's data with the variables put into its texts; a text that is one place alone keeps the value's type.

    Raises TemplateError as `render` does, for data nested deeper than MAX_DEPTH and for more than MAX_DATA characters
    in all: a list of a thousand places would put a variable there a thousand times; OutOfWork.
    """
    left = MAX_DATA

    def spend(size: int) -> None:
        nonlocal left
        left -= size
        work.spend(1 + size // 200)
        if left < 0:
            raise TemplateError(f"the data become longer than {MAX_DATA} characters")

    def weigh(found: Any, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise TemplateError(f"data may be nested {MAX_DEPTH} deep")
        match found:
            case str():
                spend(len(found) + 2)
            case Mapping():
                for name, each in found.items():
                    spend(len(str(name)) + 4)
                    weigh(each, depth + 1)
            case list() | tuple():
                for each in found:
                    spend(1)
                    weigh(each, depth + 1)
            case _:
                spend(8)

    def put_in(data: Any, depth: int) -> Any:
        match data:
            case str():
                alone = _PLACE.fullmatch(data)
                found = render(data, variables, work) if alone is None else lookup(alone[1], variables)
                if alone is not None and found is None:
                    raise TemplateError(f"variable {alone[1]!r} is not defined")
                weigh(found, depth)
                return found
            case Mapping():
                return {name: put_in(each, depth + 1) for name, each in data.items()}
            case list() | tuple():
                return [put_in(each, depth + 1) for each in data]
            case _:
                weigh(data, depth)
                return data

    return put_in(value, 0)


def data_names(value: Any) -> set[str]:
    """The variables that a document's data read. Raises TemplateError when braces are no template."""
    match value:
        case str():
            return names(value)
        case Mapping():
            return set().union(*map(data_names, value.values()))
        case list() | tuple():
            return set().union(*map(data_names, value))
        case _:
            return set()


def render_url(text: str, variables: Mapping[str, Any], schemes: Sequence[str]) -> str:
    """A URL whose variables are percent-coded, so that data stay inside their part of it.

    The host and port are the document's own: a variable may stand behind them only. Raises TemplateError.
    """
    scheme, found, rest = text.partition("://")
    host = _END.split(rest, maxsplit=1)[0]
    if not found or scheme not in schemes:
        raise TemplateError(f"a URL begins with {' or '.join(f'{each}://' for each in schemes)}")
    if not _HOST.fullmatch(host):
        raise TemplateError(f"{host[:80]!r} is no host: it stands in the flow as it is, without variables or a user")
    parts = _PLACE.sub(lambda m: quote(_plain(m[1], lookup(m[1], variables)), safe=""), rest)
    url = f"{scheme}://{parts}"
    if len(url) > MAX_URL or not url.isascii() or not url.isprintable() or " " in url:
        raise TemplateError(f"the URL has more than {MAX_URL} characters, or one that no URL may have")
    return url


def word(text: str, grammar: re.Pattern[str], what: str) -> str:
    """The text, if the grammar allows all of it. Raises TemplateError."""
    if grammar.fullmatch(text) is None:
        raise TemplateError(f"{text[:80]!r} is not allowed as {what}")
    return text


def literal(text: str) -> str:
    """What the document itself says in a template: the text without its places."""
    return _PLACE.sub("", text)


def flattened(text: str) -> str:
    """The template with dotted places cut to their first name, for trying it out with stand-ins."""
    return _PLACE.sub(lambda match: f"{{{{ {match[1].split('.')[0]} }}}}", text)


_PORTS = {"http": "80", "https": "443", "ws": "80", "wss": "443"}


def is_listed(url: str, hosts: Sequence[str]) -> bool:
    """Whether a URL's host is among these: ``host`` means its scheme's own port, ``host:port`` that one.

    FreeSWITCH looks names up itself, from inside the carrier's network, so only a list says where one leads.
    """
    scheme, _, rest = url.partition("://")
    authority = _END.split(rest, maxsplit=1)[0].lower()
    host, colon, port = authority.rpartition(":") if not authority.endswith("]") else (authority, "", "")
    own = _PORTS.get(scheme.lower())
    if own is None:
        return False
    if not colon:
        host, port = authority, own
    return f"{host}:{port}" in hosts or (port == own and host in hosts)


@dataclass(frozen=True, slots=True)
class Prompts:
    """What may be played: files below `folder` (None: below the node's own sounds), URLs of `hosts` (None: any)."""

    folder: str | None = None
    hosts: tuple[str, ...] | None = None


def prompt(text: str, variables: Mapping[str, Any], rules: Prompts) -> str:
    """A template as a playback argument. Raises TemplateError."""
    return playable(render(text, variables), rules)


def playable(source: str, rules: Prompts) -> str:
    """A playback argument: a file below the prompts folder, a tone or silence stream, or a URL by the http cache.

    Raises TemplateError for anything else: a path that climbs or is absolute, a space, a command, a host of nobody's.
    """
    if _STREAM.fullmatch(source):
        return source
    if _URL.fullmatch(source):
        if rules.hosts is not None and not is_listed(source, rules.hosts):
            raise TemplateError(f"{source[:80]!r} cannot be played: its host is not among prompt_hosts")
        return f"http_cache://{source}"
    if _FILE.fullmatch(source) is None or any(part == ".." for part in source.split("/")):
        raise TemplateError(
            f"{source[:80]!r} cannot be played: a file name of letters, digits and _ . - /, "
            "tone_stream://…, silence_stream://MS or an http(s) URL"
        )
    if source.startswith("/"):
        raise TemplateError(f"{source[:80]!r} leaves the prompts folder: give a path relative to it")
    return source if rules.folder is None else f"{rules.folder.rstrip('/')}/{source}"
