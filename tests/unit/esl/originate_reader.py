"""An independent reader of originate commands, after the way FreeSWITCH takes them apart.

Modelled on what mod_commands (originate), switch_utils (switch_separate_string), switch_event
(switch_event_create_brackets) and switch_ivr_originate do, in that order: arguments at spaces outside quotes;
`:_:` between enterprise legs; `<…>` and any number of `{…}` in front, whose variables stand between commas or what
`^^` names; `|` and `,` between legs; `[…]` in front of a leg; `type/data`; `&app(arg)` or an extension. It is
written from that description, knows nothing of `esl.dialstring`, and is more willing than FreeSWITCH to find another
variable, leg or argument.
"""

from __future__ import annotations

from dataclasses import dataclass, field

MARKUP = frozenset('<>{}[]|&$%^!,`"\\\r\n\0')
"""Characters that must not be left over in what was read as a value, an endpoint's data or an application."""


class Misread(AssertionError):
    """The command would mean something else than one leg, parked."""


@dataclass
class Reading:
    """What FreeSWITCH would do."""

    variables: list[tuple[str, str]] = field(default_factory=list)
    legs: list[tuple[str, str]] = field(default_factory=list)
    local_variables: list[str] = field(default_factory=list)  # of one leg, or of all enterprise legs
    application: str = ""
    application_argument: str = ""
    further_arguments: list[str] = field(default_factory=list)


def split(text: str, separator: str) -> list[str]:
    """At each separator that is neither quoted nor escaped."""
    parts, quoted, escaped = [""], False, False
    for character in text:
        if escaped or character == "\\":
            escaped = not escaped
        elif character == "'":
            quoted = not quoted
        elif character == separator and not quoted:
            parts.append("")
            continue
        parts[-1] += character
    if quoted:
        raise Misread("a quote that does not end")
    return parts


def closing(text: str, opens: str, closes: str) -> int:
    """Where the bracket that `text` starts with ends; quotes do not hide brackets from FreeSWITCH."""
    depth = 0
    for at, character in enumerate(text):
        depth += (character == opens) - (character == closes)
        if depth == 0:
            return at
    raise Misread(f"no {closes} for {opens}")


def read_variables(text: str) -> list[tuple[str, str]]:
    separator = ","
    if text.startswith("^^"):
        separator, text = text[2], text[3:]
    found = []
    for part in split(text, separator):
        name, equals, value = part.partition("=")
        if not equals:
            raise Misread(f"{part!r} is no variable")
        found.append((name, value.removeprefix("'").removesuffix("'")))
    return found


def read(command: str) -> Reading:
    """Take an `originate …` command apart. Raises Misread for what is not even well-formed."""
    if any(character in command for character in "\r\n\0"):
        raise Misread("more than one line: another event-socket command")
    name, _, arguments = command.partition(" ")
    if name != "originate":
        raise Misread(f"another command: {name!r}")
    call, extension, *further = split(arguments, " ")
    reading = Reading(further_arguments=further)
    for enterprise_leg in call.split(":_:"):
        rest = enterprise_leg
        for opens, closes in (("<", ">"), ("{", "}")):
            while rest.startswith(opens):
                end = closing(rest, opens, closes)
                found = read_variables(rest[1:end])
                if opens == "{":
                    reading.variables += found
                else:
                    reading.local_variables += [name for name, _ in found]
                rest = rest[end + 1 :]
        for alternative in split(rest, "|"):
            for leg in split(alternative, ","):
                while leg.startswith("["):
                    end = closing(leg, "[", "]")
                    reading.local_variables.append(leg[1:end])
                    leg = leg[end + 1 :]
                kind, _, data = leg.partition("/")
                reading.legs.append((kind, data))
    if not extension.startswith("&"):
        raise Misread(f"a dialplan extension: {extension!r}")
    application, bracket, argument = extension[1:].partition("(")
    if not bracket or not argument.endswith(")"):
        raise Misread(f"an application without brackets: {extension!r}")
    reading.application, reading.application_argument = application, argument[:-1]
    return reading
