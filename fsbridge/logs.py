"""How logs look: one line a fact, JSON for machines or words for people, ours and the libraries' alike.

`configure` is called once by a launcher. Everywhere else: ``log = structlog.get_logger(__name__)`` and
``log.info("what_happened", session_id=…, key=value)``. Keys that name a secret are dropped whatever their value;
numbers go through `mask_number` first. Not to be used on native threads (see `supervise.run_in_thread`).
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import MutableMapping
from typing import Any, Literal, TextIO

import orjson
import structlog
from structlog.types import Processor

SECRET_KEYS = frozenset(
    {"password", "webhook_auth", "webhookauth", "authorization", "secret", "secret_key", "api_key", "token"}
)

_CHATTY = ("urllib3", "requests", "asyncio")
"""Libraries that tell every step at INFO; their warnings are wanted."""


def mask_number(number: str) -> str:
    """A telephone number or SIP URI that is recognisable but no longer somebody's: ``+1555…67``.

    Keeps four characters at the front and two at the end of a number, the domain of a SIP URI.
    """
    scheme, colon, rest = number.partition(":")
    if colon and scheme.lower() in ("sip", "sips"):
        user, at, domain = rest.rpartition("@")
        return f"{scheme}:{mask_number(user)}{at}{domain}" if at else number
    if len(number) <= 6:
        return number[:1] + "…" if number else ""
    keep = 5 if number.startswith("+") else 4
    return f"{number[: min(keep, len(number) - 4)]}…{number[-2:]}"


def drop_secrets(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor: removes values whose key names a secret, also one level down."""
    for key in list(event):
        if key.lower() in SECRET_KEYS:
            event[key] = "[hidden]"
        elif isinstance(event[key], dict):
            event[key] = {k: "[hidden]" if str(k).lower() in SECRET_KEYS else v for k, v in event[key].items()}
    return event


def one_line(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor: what is no visible character becomes an escape: no value can forge a line, none can steer.

    (Escape sequences, line ends of every kind, and marks that turn the reading direction round.)
    """
    for key, value in event.items():
        if isinstance(value, str) and key != "exception" and not value.isprintable():
            event[key] = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in value)
    return event


def configure(
    style: Literal["human", "json"] = "human",
    level: Literal["debug", "info", "warning", "error"] = "info",
    stream: TextIO | None = None,
) -> None:
    """Set up structlog and the standard library's logging to write to `stream` (stderr). May be called again."""
    out = stream if stream is not None else sys.stderr
    number = getattr(logging, level.upper())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        drop_secrets,
    ]
    if style == "json":
        ending: list[Processor] = [
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(serializer=_to_json),
        ]
    else:
        # The plain traceback: the rich one prints local variables, secrets among them.
        renderer = structlog.dev.ConsoleRenderer(
            colors=out.isatty(), pad_event_to=28, exception_formatter=structlog.dev.plain_traceback
        )
        ending = [one_line, renderer]
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *ending],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(number)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(max(number, logging.WARNING))
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )


def _to_json(event: Any, **_: Any) -> str:
    try:
        line = orjson.dumps(event, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:  # lone surrogates, integers beyond 64 bits: rare, and still a line
        return json.dumps(event, default=str, separators=(",", ":"))
    # JSON lets pass what some terminals obey; inside its texts it has an escape for everything.
    return (
        line if line.isprintable() else "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in line)
    )
