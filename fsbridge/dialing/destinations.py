"""What may be dialled: E.164 numbers, by the phonenumbers library, and SIP URIs, by a strict grammar. Pure."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import unquote_to_bytes

import phonenumbers

from fsbridge.errors import FsbridgeError
from fsbridge.esl.dialstring import SIP_URI
from fsbridge.model.destination import Destination, DestinationKind

_E164 = re.compile(r"\+[1-9][0-9]{1,14}")
_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_SCHEME = re.compile(r"sips?:", re.IGNORECASE)
_TRANSPORT = re.compile(r";transport=[a-z]+$", re.IGNORECASE)
_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
_NEEDS_NONE = re.compile(r"[A-Za-z0-9+_.~*-]")


class DestinationError(FsbridgeError, ValueError):
    """The destination cannot be dialled; the message says what one looks like."""


def parse_destination(text: str) -> Destination:
    """`+15551234567`, or `sip:user@host[:port][;transport=udp|tcp|tls]` (or `sips:`), in canonical form.

    A number must be possible in its country's plan (length and country code; no area code left out), not
    allocated: test ranges and new blocks are dialled too. Scheme, host and transport of a URI become lower case, its
    port loses leading zeros, what is escaped without need loses its escape; a number loses a trunk prefix (`+440…`).
    Raises DestinationError.
    """
    if _SCHEME.match(text):
        return _sip_uri(text)
    if _E164.fullmatch(text) is None:
        raise DestinationError("must be an E.164 number such as +15551234567, or a sip: or sips: URI")
    number = _parse(text)
    # Not is_possible_number: that one takes local numbers too, which nobody can dial with a country code before them.
    if phonenumbers.is_possible_number_with_reason(number) != phonenumbers.ValidationResult.IS_POSSIBLE:
        raise DestinationError("is not a possible number: its country's numbers have another length")
    canonical = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    # One trunk prefix is a habit of writing, two are a mistake, and the number behind them is anybody's guess.
    if _parse(canonical) != number:
        raise DestinationError("is not a possible number: it has more than one trunk prefix after the country code")
    return Destination(DestinationKind.NUMBER, canonical)


def _parse(text: str) -> phonenumbers.PhoneNumber:
    try:
        return phonenumbers.parse(text, None)
    except phonenumbers.NumberParseException as error:
        raise DestinationError(f"is no phone number: {error.args[0] if error.args else error}") from error


def _sip_uri(text: str) -> Destination:
    scheme, _, rest = text.partition(":")
    user, at, where = rest.rpartition("@")
    where = _TRANSPORT.sub(lambda found: found[0].lower(), where)
    canonical = f"{scheme.lower()}:{_ESCAPE.sub(_canonical_escape, user)}{at}{where}"
    parts = SIP_URI.fullmatch(canonical)
    if parts is None or not _is_text(parts["user"] or ""):
        raise DestinationError(
            "is not a SIP URI that can be dialled: sip:user@host[:port][;transport=udp|tcp|tls], the user of letters, "
            "digits, + _ . ~ * - and the escapes %23 (#), %28, %29, %40 and those of UTF-8, without password, headers "
            "or other parameters"
        )
    host, port, transport = parts["host"], parts["port"], parts["transport"] or ""
    if port is not None and not 1 <= int(port) <= 65_535:
        raise DestinationError("has a port that is not 1 to 65535")
    if not _is_host(host):
        raise DestinationError("has a host that is neither a domain name nor an address")
    if parts["scheme"] == "sips" and transport not in ("", ";transport=tls"):
        raise DestinationError("is sips:, which goes over TLS: leave the transport out, or say ;transport=tls")
    user = f"{parts['user']}@" if parts["user"] is not None else ""
    address = host.lower() + (f":{int(port)}" if port is not None else "")
    return Destination(DestinationKind.SIP_URI, f"{parts['scheme']}:{user}{address}{transport}")


def _canonical_escape(found: re.Match[str]) -> str:
    character = unquote_to_bytes(found[0]).decode("latin-1")
    return character if _NEEDS_NONE.fullmatch(character) else found[0].upper()


def _is_text(user: str) -> bool:
    """Whether what is escaped is UTF-8, and something to see."""
    try:
        return unquote_to_bytes(user).decode().isprintable()
    except UnicodeDecodeError:
        return False


def _is_host(host: str) -> bool:
    """A domain name, or an address; what ends in a label of digits only is an address (RFC 3261's toplabel)."""
    try:
        if host.startswith("["):
            return bool(ipaddress.IPv6Address(host[1:-1]))
        labels = host.split(".")
        if labels[-1].isdigit():
            return bool(ipaddress.IPv4Address(host))
    except ValueError:
        return False
    return all(_LABEL.fullmatch(label) for label in labels)
