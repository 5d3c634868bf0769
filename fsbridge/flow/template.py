"""``{{ variables }}`` in a flow's texts, and what of the result may enter an application's argument. Pure.

A template looks names up and does nothing else. What comes out is a customer's data, so it is checked against an
allow-list for the place where it goes: FreeSWITCH expands ``${…}`` and reads ``|``, quotes and backslashes in
application arguments, so none of them may arrive there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from fsbridge.flow.expression import lookup

_PLACE = re.compile(r"\{\{\s*([A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z0-9_]+)*)\s*\}\}")
_OPEN = re.compile(r"\{\{|\}\}")

MAX_SPEECH = 2_000

_FILE = re.compile(r"/?[A-Za-z0-9_][A-Za-z0-9_.-]*(?:/[A-Za-z0-9_][A-Za-z0-9_.-]*)*")
_STREAM = re.compile(r"(?:tone_stream://[A-Za-z0-9%(),.;=+-]{1,300}|silence_stream://[0-9]{1,7})")
_URL = re.compile(r"https?://[A-Za-z0-9.-]{1,253}(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~%/-]{0,500})?")
_SPOKEN = set(" .,:!?()-+%&@/€£\u2019")


class TemplateError(ValueError):
    """A template names what is not there, or its result may not go where it should; the message says which."""


def names(text: str) -> set[str]:
    """The variables that a template reads. Raises TemplateError when its braces are no template."""
    if _OPEN.search(_PLACE.sub("", text)):
        raise TemplateError("has {{ or }} that is no {{ variable }}")
    return {found.split(".")[0] for found in _PLACE.findall(text)}


def render(text: str, variables: Mapping[str, Any]) -> str:
    """The text with its variables put in. Raises TemplateError for one that is undefined or no plain value."""

    def value(match: re.Match[str]) -> str:
        found = lookup(match[1], variables)
        if found is None:
            raise TemplateError(f"variable {match[1]!r} is not defined")
        if isinstance(found, bool):
            return "true" if found else "false"
        if isinstance(found, float) and found.is_integer():
            return str(int(found))
        if not isinstance(found, (str, int, float)):
            raise TemplateError(f"variable {match[1]!r} is no text or number")
        return str(found)

    return _PLACE.sub(value, text)


def speakable(text: str) -> str:
    """The text as it may be spoken: letters and digits of any script and plain punctuation; the rest is a pause.

    Raises TemplateError when nothing is left, or too much is asked for.
    """
    text = text.replace("'", "\u2019")
    cleaned = " ".join("".join(c if c.isalnum() or c in _SPOKEN else " " for c in text).split())
    if not cleaned:
        raise TemplateError("nothing is left to speak")
    if len(cleaned) > MAX_SPEECH:
        raise TemplateError(f"more than {MAX_SPEECH} characters to speak at once")
    return cleaned


def playable(source: str, prompts_dir: str | None) -> str:
    """A playback argument: a file below the prompts folder, a tone or silence stream, or a URL by the http cache.

    Raises TemplateError for anything else: a path that climbs, a space, a command.
    """
    if _STREAM.fullmatch(source):
        return source
    if _URL.fullmatch(source):
        return f"http_cache://{source}"
    if _FILE.fullmatch(source) is None or any(part == ".." for part in source.split("/")):
        raise TemplateError(
            f"{source[:80]!r} cannot be played: a file name of letters, digits and _ . - /, "
            "tone_stream://…, silence_stream://MS or an http(s) URL"
        )
    if prompts_dir is None:
        return source
    if source.startswith("/"):
        raise TemplateError(f"{source[:80]!r} leaves the prompts folder: give a path relative to it")
    return f"{prompts_dir.rstrip('/')}/{source}"
