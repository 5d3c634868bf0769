"""What may be dialled: E.164 numbers, by the phonenumbers library, and SIP URIs, by a strict grammar. Pure."""

from __future__ import annotations

import ipaddress
import re

import phonenumbers

from fsbridge.errors import FsbridgeError
from fsbridge.esl.dialstring import SIP_URI
from fsbridge.model.destination import Destination, DestinationKind

_E164 = re.compile(r"\+[1-9][0-9]{1,14}")
_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_SCHEME = re.compile(r"sips?:", re.IGNORECASE)


class DestinationError(FsbridgeError, ValueError):
    """The destination cannot be dialled; the message says what one looks like."""


def parse_destination(text: str) -> Destination:
    """`+15551234567`, or `sip:user@host[:port][;transport=udp|tcp|tls]` (or `sips:`), in canonical form.

    A number must be possible in its country's plan (length and country code; no area code left out), not
    allocated: test ranges and new blocks are dialled too. Scheme and host of a URI become lower case, its port
    loses leading zeros; a number loses a trunk prefix (`+440…`). Raises DestinationError.
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
    canonical = f"{scheme.lower()}:{rest}"
    parts = SIP_URI.fullmatch(canonical)
    if parts is None:
        raise DestinationError(
            "is not a SIP URI that can be dialled: sip:user@host[:port][;transport=udp|tcp|tls], "
            "the user of letters, digits and + _ . ~ -, without password, headers or other parameters"
        )
    host, port = parts["host"], parts["port"]
    if port is not None and not 1 <= int(port) <= 65_535:
        raise DestinationError("has a port that is not 1 to 65535")
    if not _is_host(host):
        raise DestinationError("has a host that is neither a domain name nor an address")
    user = f"{parts['user']}@" if parts["user"] is not None else ""
    where = host.lower() + (f":{int(port)}" if port is not None else "")
    return Destination(DestinationKind.SIP_URI, f"{scheme.lower()}:{user}{where}{parts['transport'] or ''}")


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
