"""What the node itself does with a call that comes in, or that is transferred to an extension: as data. Pure.

An extension answers numbers by pattern and runs applications one after the other; after the last the call is hung up.
Context `public` is for calls that come in, `default` for transfers, as FreeSWITCH's stock dialplan has them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fsbridge.simulator.farends.numbers import answers

PUBLIC = "public"
DEFAULT = "default"

Action = tuple[str, str]
"""An application and its argument; ``${destination_number}`` and channel variables are expanded when it runs."""


@dataclass(frozen=True, slots=True)
class Extension:
    """Numbers or SIP users by pattern (``*`` stands for anything, a leading + may be left out) and what they run."""

    match: tuple[str, ...]
    actions: tuple[Action, ...]
    context: str = PUBLIC


@dataclass(frozen=True, slots=True)
class Dialplan:
    """Extensions in the order in which they are tried."""

    extensions: tuple[Extension, ...] = ()

    def find(self, number: str, context: str) -> Extension | None:
        """The first extension of this context that answers `number`."""
        for extension in self.extensions:
            if extension.context == context and answers(extension.match, number):
                return extension
        return None

    @property
    def contexts(self) -> frozenset[str]:
        """Those that it has; the stock ones are always there."""
        return frozenset({PUBLIC, DEFAULT, *(extension.context for extension in self.extensions)})

    def actions(self, number: str, dialplan: str, context: str) -> tuple[Action, ...]:
        """What a channel runs that is sent to `number`; nothing when there is no such way.

        The dialplan ``inline`` spells it out in the number: ``application:argument,application…``.
        """
        if dialplan.lower() == "inline":
            parts = (part.partition(":") for part in number.split(",") if part)
            return tuple((application, argument) for application, _, argument in parts)
        extension = self.find(number, context) if dialplan.upper() == "XML" else None
        return () if extension is None else extension.actions

    def with_first(self, *extensions: Extension) -> Dialplan:
        """A dialplan in which these are tried before the others."""
        return Dialplan((*extensions, *self.extensions))


def parked(*match: str, variables: Mapping[str, str]) -> Extension:
    """An inbound number that is handed to the service: its variables are set, then it is parked, not yet answered.

    As in tests/traces/inbound_call_parked.jsonl: ``parked("+1999*", variables={"fsbridge_inbound": "support"})``.
    """
    return Extension(match, (*(("set", f"{name}={value}") for name, value in variables.items()), ("park", "")))


STOCK = Dialplan((Extension(("park",), (("answer", ""), ("park", "")), DEFAULT),))
"""What the recordings' node had: transfers to ``park``."""
