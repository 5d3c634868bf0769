"""What may be spoken, as text for a speech engine or as a value for FreeSWITCH's own sound files. Pure.

FreeSWITCH expands ``${…}`` and reads ``|``, quotes and backslashes in application arguments, so none of them may
arrive there. What would be lost on the way is said in words, or told to the document's author.
"""

from __future__ import annotations

import calendar
import datetime as dt
import re
import unicodedata
from collections.abc import Mapping
from enum import StrEnum

from fsbridge.flow.document.template import OPEN, TemplateError, literal, word

MAX_SPEECH = 2_000

_SPOKEN = frozenset(" .,:!?()-+%&@/#*\u2019")
_PAUSES = frozenset("'\";\u2018\u201a\u201c\u201d\u201e\u00ab\u00bb\u2026\u2013\u2014")
"""Punctuation that may stand in a document's text though only a pause (of ' its typographic form) remains."""

_SIGNS: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "en": {"€": ("euro", "euros"), "£": ("pound", "pounds"), "$": ("dollar", "dollars"), "¥": ("yen", "yen"),
           "₹": ("rupee", "rupees"), "¢": ("cent", "cents"), "°": ("degree", "degrees")},
    "de": {"€": ("Euro", "Euro"), "£": ("Pfund", "Pfund"), "$": ("Dollar", "Dollar"), "¥": ("Yen", "Yen"),
           "₹": ("Rupie", "Rupien"), "¢": ("Cent", "Cent"), "°": ("Grad", "Grad")},
    "fr": {"€": ("euro", "euros"), "£": ("livre", "livres"), "$": ("dollar", "dollars"), "¥": ("yen", "yens"),
           "₹": ("roupie", "roupies"), "¢": ("centime", "centimes"), "°": ("degré", "degrés")},
    "es": {"€": ("euro", "euros"), "£": ("libra", "libras"), "$": ("dólar", "dólares"), "¥": ("yen", "yenes"),
           "₹": ("rupia", "rupias"), "¢": ("centavo", "centavos"), "°": ("grado", "grados")},
    "it": {"€": ("euro", "euro"), "£": ("sterlina", "sterline"), "$": ("dollaro", "dollari"), "¥": ("yen", "yen"),
           "₹": ("rupia", "rupie"), "¢": ("centesimo", "centesimi"), "°": ("grado", "gradi")},
    "pt": {"€": ("euro", "euros"), "£": ("libra", "libras"), "$": ("dólar", "dólares"), "¥": ("iene", "ienes"),
           "₹": ("rupia", "rupias"), "¢": ("centavo", "centavos"), "°": ("grau", "graus")},
    "nl": {"€": ("euro", "euro"), "£": ("pond", "pond"), "$": ("dollar", "dollar"), "¥": ("yen", "yen"),
           "₹": ("roepie", "roepies"), "¢": ("cent", "cent"), "°": ("graad", "graden")},
}  # fmt: skip
"""Signs by language, one and many: flite says nothing at all where one of them stands."""
_ELSEWHERE: Mapping[str, tuple[str, str]] = {"$": ("dollar", "dollar")}
"""In any other language they are left to the engine, but for the one that FreeSWITCH might take for its own."""
_NUMBER = r"[0-9]{1,3}(?:[.,][0-9]{3})+|[0-9]+"
_BEFORE = re.compile(rf"([€£$¥₹¢])\s?({_NUMBER})(?:[.,]([0-9]{{1,2}})(?![0-9]))?")
_BEHIND = re.compile(rf"(?<![0-9.,])({_NUMBER})(?:[.,]([0-9]{{1,2}}))?\s?([€£$¥₹¢])(?![0-9])")
_DEGREES = re.compile(r"°\s?([CF])\b")
_SCALES = {"C": "Celsius", "F": "Fahrenheit"}


class Saying(StrEnum):
    """How a value is read out; the values are the document's words."""

    NUMBER = "number"
    DIGITS = "digits"
    MONEY = "money"
    DATE = "date"
    TIME = "time"
    SPELLED = "spelled"


_SAID = {
    # What is longer, or has a sign, mod_say does not read out: it says nothing.
    Saying.NUMBER: re.compile(r"[0-9]{1,9}"),
    Saying.DIGITS: re.compile(r"[0-9]{1,32}"),
    Saying.MONEY: re.compile(r"-?[0-9]{1,9}(?:\.[0-9]{1,2})?"),
    Saying.SPELLED: re.compile(r"[A-Za-z0-9]{1,64}"),
}


def unspeakable(text: str) -> str:
    """The characters of a document's own words that would be lost in speech; its author is told, not the far end."""
    own = set(OPEN.sub("", literal(text)))
    return "".join(sorted(c for c in own if not (_is_spoken(c) or c == "$" or c.isspace() or c in _PAUSES)))


def speakable(text: str, language: str = "en") -> str:
    """The text as it may be spoken: letters, marks and digits of any script, plain punctuation; the rest is a pause.

    Signs of currencies and degrees become words where the language (``en``, ``en-gb``) is known here, and are left to
    the engine where it is not. Raises TemplateError when nothing is left, or too much is asked for.
    """
    text = _in_words(text, _SIGNS.get(language[:2], _ELSEWHERE)).replace("'", "\u2019")
    cleaned = " ".join("".join(c if _is_spoken(c) else " " for c in text).split())
    if not cleaned:
        raise TemplateError("nothing is left to speak")
    if len(cleaned) > MAX_SPEECH:
        raise TemplateError(f"more than {MAX_SPEECH} characters to speak at once")
    return cleaned


def sayable(kind: Saying, text: str) -> str:
    """A value as mod_say takes it. Raises TemplateError for what it would not read out."""
    text = text.strip()
    if kind in (Saying.DATE, Saying.TIME):
        return str(_moment(kind, text))
    word(text, _SAID[kind], f"a value said as {kind}")
    whole, point, part = text.partition(".")
    return f"{whole}.{part:0<2}" if point else text  # 12.5 would be twelve dollars and five cents


def _moment(kind: Saying, text: str) -> int:
    """Unix seconds at which it is so late, or that day, one second east of Greenwich: where it is said (`ZONE`).

    What is written is said, whatever the zone of the node; an offset is no part of it.
    """
    try:
        if kind is Saying.TIME and re.fullmatch(r"[0-9]{2}:[0-9]{2}", text):
            text = f"2000-01-03T{text}"
        moment = dt.datetime.fromisoformat(text)
    except ValueError as error:
        raise TemplateError(f"{text[:40]!r} is no {kind}: write 2026-11-23, 14:30 or 2026-11-23T14:30+01:00") from error
    seconds = calendar.timegm(moment.timetuple()) - 1
    if seconds <= 0:
        raise TemplateError(f"{text[:40]!r} is before 1970: FreeSWITCH would say today's instead")
    return seconds


ZONE = "1"
"""The channel variable `timezone` while a moment is said: a number is seconds to add, in every mod_say_…, and needs no
table of zones on the node. 0 would be no number to it."""


def _in_words(text: str, words: Mapping[str, tuple[str, str]]) -> str:
    def amount(number: str, part: str | None, sign: str) -> str:
        if sign not in words:
            return f"{number}{f'.{part}' if part else ''} {sign}"
        one, many = words[sign]
        return f" {number} {one if number == '1' and not part else many}{f' {part:0<2}' if part else ''} "

    text = _BEHIND.sub(lambda found: amount(found[1], found[2], found[3]), text)
    text = _BEFORE.sub(lambda found: amount(found[2], found[3], found[1]), text)
    if "°" in words:
        text = _DEGREES.sub(lambda found: f" {words['°'][1]} {_SCALES[found[1]]} ", text)
    for sign, (_, many) in words.items():
        text = text.replace(sign, f" {many} ")
    return text


def _is_spoken(character: str) -> bool:
    # Marks (M…) are the vowels of many scripts: without them Hindi, Thai or pointed Arabic cannot be read.
    if character.isalnum() or character in _SPOKEN or character == "°":
        return True
    category = unicodedata.category(character)
    return category.startswith("M") or (category == "Sc" and character != "$")
