"""What a request asks for: the forms of a request's target, and the Host that must come with it. Pure.

RFC 9112, section 3.2: besides the path (origin-form) a server takes a whole URL (absolute-form), since any client that
was told of a proxy may send one, and then the URL's own authority counts, not the Host header.
"""

from __future__ import annotations

import re

from api.http.headers import HeaderError

_AUTHORITY = r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]*)(?::[0-9]{0,5})?"
_HOST = re.compile(_AUTHORITY)
_ABSOLUTE = re.compile(rf"[Hh][Tt][Tt][Pp][Ss]?://({_AUTHORITY})(?=[/?]|$)")


def split(method: str, target: str) -> tuple[str, str | None]:
    """The path with its query, and the authority if the target names one. Raises HeaderError."""
    if target.startswith("/") or (target == "*" and method == "OPTIONS"):
        return target, None
    found = _ABSOLUTE.match(target)
    if found is None or found[1].partition(":")[0] == "":
        raise HeaderError("the request's target must be a path such as /readyz, or a whole http:// URL")
    rest = target[found.end() :]
    if not rest and method == "OPTIONS":
        return "*", found[1]
    return rest if rest.startswith("/") else f"/{rest}", found[1]


def check_host(host: str | None, version: str) -> None:
    """HTTP/1.1 wants a Host in every request, and it must be one. Raises HeaderError."""
    if host is None:
        if version != "HTTP/1.0":
            raise HeaderError("the header Host is missing")
    elif not _HOST.fullmatch(host):
        raise HeaderError("the header Host is no host")
