"""Reads an originate command as FreeSWITCH does: variables, one endpoint, and what the answered leg then runs. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

USAGE = (
    "-USAGE: <call url> <exten>|&<application_name>(<app_args>) [<dialplan>] [<context>] [<cid_name>] [<cid_num>] "
    "[<timeout_sec>]\n"
)

_EXPANSION = re.compile(r"\$\{[^}]*\}")
_APPLICATION = re.compile(r"&([A-Za-z0-9_:-]+)(?:\((.*)\))?", re.DOTALL)


class DialStringInvalid(Exception):
    """The string cannot be dialled; `reply` is what FreeSWITCH answers."""

    def __init__(self, reply: str) -> None:
        self.reply = reply
        super().__init__(reply)


@dataclass(frozen=True, slots=True)
class Dial:
    """One leg to place. `gateway` is "" for a direct SIP URI; `target` is what follows gateway or profile."""

    variables: dict[str, str]
    endpoint: str
    gateway: str
    profile: str
    target: str
    application: str
    application_argument: str

    @property
    def user(self) -> str:
        """The number or the user part of the URI."""
        return self.target.removeprefix("sip:").removeprefix("sips:").partition("@")[0]


def split_words(text: str, separator: str = " ") -> list[str]:
    """Split on a separator outside single quotes; the quotes go, a backslash keeps the next character."""
    words: list[str] = []
    word: list[str] = []
    quoted = False
    characters = iter(text)
    for character in characters:
        if character == "\\":
            following = next(characters, "")
            # Words are split again at the variables' separator: only that pass takes the backslash away.
            final = separator != " " and following in ("'", "\\", separator)
            word.append(following if final else character + following)
        elif character == "'":
            quoted = not quoted
            if separator == " ":
                word.append(character)
        elif character == separator and not quoted:
            if word or separator != " ":
                words.append("".join(word))
            word = []
        else:
            word.append(character)
    if word:
        words.append("".join(word))
    return words


def parse(argument: str) -> Dial:
    """The leg of ``originate`` + argument. Raises DialStringInvalid with FreeSWITCH's reply.

    One leg only: a list of legs (``,`` or ``|``) is refused as an endpoint that does not exist.
    """
    words = split_words(argument)
    if len(words) < 2:
        raise DialStringInvalid(USAGE)
    variables, rest = _variables(words[0])
    application = _APPLICATION.fullmatch(words[1])
    if application is None:
        raise DialStringInvalid("-ERR NO_ROUTE_DESTINATION\n")
    return _leg(variables, rest, application[1], application[2] or "")


def parse_legs(text: str) -> tuple[Dial, ...]:
    """The legs that ``bridge`` is given, to be tried in order: ``{variables}leg|leg``. Raises DialStringInvalid.

    Legs that ring at the same time (``,``) are refused as an endpoint that does not exist.
    """
    variables, rest = _variables(text.strip())
    return tuple(_leg(variables, leg, "", "") for leg in rest.split("|"))


def _leg(variables: dict[str, str], rest: str, application: str, argument: str) -> Dial:
    if any(mark in rest for mark in ",|") or not rest.startswith("sofia/"):
        raise DialStringInvalid("-ERR CHAN_NOT_IMPLEMENTED\n")
    _, _, address = rest.partition("/")
    profile, _, target = address.partition("/")
    gateway = ""
    if profile == "gateway":
        gateway, _, target = target.partition("/")
        profile = "external"
    if not target:
        raise DialStringInvalid("-ERR INVALID_URL\n" if not gateway else "-ERR INVALID_NUMBER_FORMAT\n")
    return Dial(variables, "sofia", gateway, profile, target, application, argument)


def _variables(word: str) -> tuple[dict[str, str], str]:
    """The variables of leading ``{…}`` groups and what follows them."""
    variables: dict[str, str] = {}
    while word.startswith("{"):
        end = _closing(word)
        if end < 0:
            raise DialStringInvalid("-ERR DESTINATION_OUT_OF_ORDER\n")
        inside, word = word[1:end], word[end + 1 :]
        separator = ","
        if inside.startswith("^^") and len(inside) > 2:
            separator, inside = inside[2], inside[3:]
        for assignment in split_words(inside, separator):
            name, equals, value = assignment.partition("=")
            if equals and name.strip():
                # Expanded before the channel exists, so every ${…} is empty by the time it is set.
                variables[name.strip()] = _EXPANSION.sub("", value)
    return variables, word


def _closing(word: str) -> int:
    """The index of the brace that closes the first one, -1 if none: braces nest and quotes hide them."""
    depth = 0
    quoted = False
    escaped = False
    for index, character in enumerate(word):
        if escaped:
            escaped = False
        elif character == "\\":
            escaped = True
        elif character == "'":
            quoted = not quoted
        elif quoted:
            continue
        elif character == "{":
            depth += 1
        elif character == "}":
            depth -= 1
            if depth == 0:
                return index
    return -1
