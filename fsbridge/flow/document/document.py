"""A flow's text into a checked document, or every fault in it with its line. Pure.

What the shapes (`flow.document.model`) cannot say is checked here: targets that do not exist, ids that stand twice,
texts and conditions that cannot be read, spoken or played, variables that nothing defines, steps that are never
reached, and circles in which nothing happens.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import BaseModel, ValidationError

from fsbridge.flow.document import expectation, faults, parts, speech, template
from fsbridge.flow.document.errors import FlowInvalid, Problem
from fsbridge.flow.document.faults import Fault
from fsbridge.flow.document.model import ENDS, KINDS, Defaults, Entries, FlowBody, FlowDocument, Step
from fsbridge.flow.document.paths import idle_circles, unreached
from fsbridge.flow.document.reading import FACTS, defines, entries, named, reads, sources, speeches, targets
from fsbridge.flow.document.source import Path, Source, SourceError, read
from fsbridge.near import Words

_PARTS: list[type[BaseModel]] = [FlowBody, Step, Entries]
_PARTS += [
    part
    for module in (parts, expectation)
    for part in vars(module).values()
    if isinstance(part, type) and issubclass(part, BaseModel)
]
_ALONE = Defaults(recordings_dir="/recordings", asr_engine="asr", asr_grammar="default")
"""For a document that is checked without a configuration: what one may provide is taken to be there."""

_KEYS = Words(sorted({name for part in _PARTS for name in part.model_fields}))
_NAME_HINT = "begins with a letter and has only letters, digits, _ and - (at most 64 characters)"
_VARIABLE_HINT = "begins with a letter and has only letters, digits and _ (at most 64 characters)"
_WORD_HINT = "has only letters, digits and _ . - (at most 64 characters)"
_PATTERN_HINTS = {
    **dict.fromkeys(("id", "next", "goto", "entry", *Entries.model_fields), _NAME_HINT),
    **dict.fromkeys(("voice", "engine", "trunk", "profile", "dialplan", "context", "secret", "name"), _WORD_HINT),
    "variable": _VARIABLE_HINT,
    "language": "two small letters, such as en or de",
    "terminators": "has only digits, * and # (at most 12)",
    "dtmf": "has only digits, * and # (at most 32)",
    "pattern": "a regular expression of at most 60 of the characters 0-9 * # [ ] ( ) | ? + ^ - and \\d",
    "grammar": "has only letters, digits and _ . / - (at most 200 characters)",
    "file": "a path inside the folder of reference recordings: letters, digits and _ . / -",
    **dict.fromkeys(("hangup", "cause"), "a hang-up cause of FreeSWITCH, such as NORMAL_CLEARING"),
}
_KEY_HINTS = {"choices": "1 to 8 of digits, * and #", "headers": "a header's name: letters, digits and -"}


def parse(
    text: str, source: str = "flow", defaults: Defaults | None = None, *, call_variables: bool = True
) -> FlowDocument:
    """A document. Raises FlowInvalid with every fault.

    Without `defaults` the document is checked alone, as if the configuration provided for everything. With
    `call_variables`, names that the document does not define may come with the call and are no fault.
    """
    return understood(text, source, defaults, call_variables=call_variables)[0]


def understood(
    text: str, source: str = "flow", defaults: Defaults | None = None, *, call_variables: bool = True
) -> tuple[FlowDocument, Any]:
    """A document, as `parse` gives it, and the plain value that its text says. Raises FlowInvalid."""
    try:
        read_source = read(text)
    except SourceError as error:
        raise FlowInvalid(*(Problem(source, fault, line) for line, fault in error.faults)) from error
    defaults = defaults or _ALONE
    raw = read_source.value
    try:
        body = FlowBody.model_validate(raw)
    except ValidationError as error:
        found = [*_misshapen(error, read_source), *_meaning_of_good_steps(raw, defaults)]
        raise FlowInvalid(*faults.told(found, read_source, source, _where)) from error
    found = list(_meaning(body, defaults, call_variables))
    if found:
        raise FlowInvalid(*faults.told(found, read_source, source, _where))
    return FlowDocument(body=body, version=version_of(text), defaults=defaults), raw


def trusted(value: Any, version: str, defaults: Defaults) -> FlowDocument:
    """The document that says `value`, once `understood` has found nothing wrong with it."""
    return FlowDocument(body=FlowBody.model_validate(value), version=version, defaults=defaults)


def version_of(text: str | bytes) -> str:
    """A document's version: the same for the same text, whether it is valid or not."""
    return hashlib.sha256(text.encode() if isinstance(text, str) else text).hexdigest()[:16]


def _where(raw: Any, path: Path) -> tuple[str | None, str]:
    return faults.item_of(raw, path, "steps", "id")


# --- shape ---------------------------------------------------------------------------------------------


def _misshapen(error: ValidationError, read_source: Source) -> Iterator[Fault]:
    """pydantic's findings in words."""
    raw = read_source.value
    if not isinstance(raw, dict):
        yield (), "a flow is a mapping with the key steps"
        return
    for found in error.errors(include_url=False):
        path: Path = tuple(part for part in found["loc"] if part != "[key]")
        # A list whose items are at fault is told to be too short as well.
        if found["type"] == "too_short" and path == ("steps",) and raw["steps"]:
            continue
        yield path, _in_words(found, path)


def _in_words(found: Any, path: Path) -> str:
    kind = found["type"]
    if kind == "missing" and path == ("steps",):
        return "is missing; a flow is a mapping with the key steps"
    if kind in ("model_type", "dict_type") and len(path) == 2 and path[0] == "steps":
        return f"a step is a mapping with an id and one of {', '.join(KINDS)}"
    if kind in ("too_long", "too_short"):
        bounds = found["ctx"]
        limit = f"at most {bounds['max_length']}" if kind == "too_long" else f"at least {bounds['min_length']}"
        return f"has {bounds['actual_length']} entries; it may have {limit}"
    return faults.misspelt(found, path, _KEYS, _hint(found, path) if kind == "string_pattern_mismatch" else None)


def _hint(found: Any, path: Path) -> str:
    """What would be right in the place of a text that its grammar refuses."""
    if found["loc"][-1] == "[key]":
        return _KEY_HINTS.get(str(path[-2]) if len(path) > 1 else "", _VARIABLE_HINT)
    if len(path) > 1 and path[-2] in ("on", "choices"):
        return _NAME_HINT
    return _PATTERN_HINTS.get(str(path[-1]), faults.in_words(found))


def _meaning_of_good_steps(raw: Any, defaults: Defaults) -> Iterator[Fault]:
    """What can be said of the steps that are well-formed beside others that are not: all faults are told at once."""
    steps = raw.get("steps") if isinstance(raw, dict) else None
    if not isinstance(steps, list):
        return
    ids = _Ids(step["id"] for step in steps if isinstance(step, dict) and isinstance(step.get("id"), str))
    for number, each in enumerate(steps):
        try:
            step = Step.model_validate(each)
        except ValidationError:
            continue
        yield from _meaning_of_step(number, step, ids, defaults)


# --- meaning -------------------------------------------------------------------------------------------


def _meaning(body: FlowBody, defaults: Defaults, call_variables: bool) -> Iterator[Fault]:
    places: dict[str, int] = {}
    for number, step in enumerate(body.steps):
        if step.id in places:
            yield ("steps", number, "id"), f"{step.id!r} stands twice"
        places.setdefault(step.id, number)
    for path, target in entries(body):
        if target not in places:
            yield path, f"there is no step {target!r}"
    for name in body.variables:
        if name in FACTS:
            yield ("variables", name), "is a fact of the call; choose another name"
    ids = _Ids(places)
    for number, step in enumerate(body.steps):
        yield from _meaning_of_step(number, step, ids, defaults)
    if not call_variables:
        yield from _undefined(body)
    if len(places) == len(body.steps):
        yield from unreached(body, places)
        yield from idle_circles(body, places)


class _Ids:
    """The steps that there are; which of them is near another word is only asked where one is missing."""

    def __init__(self, ids: Iterable[str]) -> None:
        self.all = frozenset(ids)
        self._words: Words | None = None

    def missing(self, target: str) -> str:
        """What is said of a target that is none of them."""
        if self._words is None:
            self._words = Words(sorted(self.all))
        near = self._words.nearest(target)
        return f"there is no step {target!r}" + (f"; did you mean {near!r}?" if near else "")


def _meaning_of_step(number: int, step: Step, ids: _Ids, defaults: Defaults) -> Iterator[Fault]:
    here: Path = ("steps", number)
    for field, target in targets(step):
        if target not in ids.all:
            yield (*here, *field), ids.missing(target)
    for field, names in reads(step):
        if isinstance(names, str):
            yield (*here, *field), names
    for field, name in named(step):
        if name in FACTS:
            yield (*here, *field), f"{name!r} is a fact of the call; choose another name"
    if step.kind in ENDS and step.next is not None:
        yield (*here, "next"), f"nothing comes after a {step.kind}; take it out"
    if step.goto is not None and step.next is not None:
        yield (*here, "next"), "a goto says itself what comes next; take it out"
    yield from (((*here, *field), fault) for field, fault in _lost_in_speech(step))
    yield from (((*here, *field), fault) for field, fault in _unplayable(step, defaults))
    yield from (((*here, *field), fault) for field, fault in _unplaceable(step, defaults))
    yield from (((*here, *field), fault) for field, fault in _bad_urls(step, defaults))


def _lost_in_speech(step: Step) -> Iterator[tuple[Path, str]]:
    for field, text in speeches(step):
        if lost := speech.unspeakable(text):
            yield field, f"{' '.join(lost[:20])} cannot be spoken; write the word instead"
    if step.say is not None and "{{" not in step.say.value:
        try:
            speech.sayable(step.say.kind, step.say.value)
        except template.TemplateError as error:
            yield ("say", "value"), str(error)


def _unplayable(step: Step, defaults: Defaults) -> Iterator[tuple[Path, str]]:
    """A source without variables is known now."""
    for field, source in sources(step):
        if "{{" not in source:
            try:
                template.playable(source, defaults.prompts)
            except template.TemplateError as error:
                yield field, str(error)


def _unplaceable(step: Step, defaults: Defaults) -> Iterator[tuple[Path, str]]:
    """What the configuration does not provide for."""
    if (step.record is not None or step.recording is not None) and defaults.recordings_dir is None:
        yield (step.kind,), "no recordings are kept here: set flows.recordings_dir to a folder on the node"
    speech = step.gather.speech if step.gather is not None else None
    if speech is not None and not (speech.engine or defaults.asr_engine):
        yield ("gather", "speech"), "no speech recogniser is configured: name an engine, or set flows.asr_engine"
    elif speech is not None and not (speech.grammar or defaults.asr_grammar):
        yield ("gather", "speech"), "has no grammar: name one, or set flows.asr_grammar"
    profiles = defaults.conference_profiles
    if step.conference is not None and profiles is not None and step.conference.profile not in profiles:
        yield ("conference", "profile"), f"may be {' or '.join(profiles) or 'none'}: orgs.flows.conference_profiles"
    yield from _closed(step, defaults)
    if step.expect is not None and step.expect.transcript is not None and defaults.asr_engine is None:
        yield ("expect", "transcript"), "no speech recogniser is configured: set flows.asr_engine"


def _closed(step: Step, defaults: Defaults) -> Iterator[tuple[Path, str]]:
    """A way into the node's dialplan that the organization has not."""
    if step.transfer is None:
        return
    to = step.transfer
    if not defaults.leads(to.context, to.dialplan):
        where = f"context {to.context!r}" + ("" if to.dialplan == "XML" else f" of dialplan {to.dialplan!r}")
        yield ("transfer",), f"{where} is closed to this organization: orgs.flows.transfer"
    elif "{{" not in to.extension and not defaults.leads(to.context, to.dialplan, to.extension):
        yield ("transfer", "extension"), f"{to.extension[:64]!r} is closed to this organization: orgs.flows.transfer"


def _bad_urls(step: Step, defaults: Defaults) -> Iterator[tuple[Path, str]]:
    """A URL's host is the document's own, so it can be judged now; variables are put in as a stand-in."""
    for kind, schemes in (("request", ("https", "http")), ("stream", ("wss", "ws"))):
        part = getattr(step, kind)
        if part is not None:
            try:
                stand_in = dict.fromkeys(template.names(part.url), "x")
                template.render_url(template.flattened(part.url), stand_in, schemes)
            except template.TemplateError as error:
                yield (kind, "url"), str(error)
    bots = defaults.bot_hosts
    if step.stream is not None and bots is not None and not template.is_listed(step.stream.url, bots):
        yield ("stream", "url"), "its host is not among bot_hosts"


def _undefined(body: FlowBody) -> Iterator[Fault]:
    defined = {*FACTS, *body.variables}.union(*map(defines, body.steps))
    for number, step in enumerate(body.steps):
        for field, names in reads(step):
            if not isinstance(names, str) and names - defined:
                yield ("steps", number, *field), f"nothing defines {', '.join(sorted(names - defined))}"
