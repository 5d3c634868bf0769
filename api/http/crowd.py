"""Who is connected, from where, and who goes first when it gets crowded. Pure.

An address may hold so many connections, an address of a proxy (which speaks for many) any number. An IPv6 address
counts with its network of 64 bits, which is what one customer of a provider has. When all places are taken, a
connection that waits for a request gives its place up: the oldest one of whoever holds the most.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

C = TypeVar("C")


class Crowd(Generic[C]):
    """Connections by address; `per_address` at most, but any number from the networks in `proxies`."""

    def __init__(self, per_address: int, proxies: Iterable[str]) -> None:
        self._per_address = per_address
        self._proxies = tuple(ipaddress.ip_network(network, strict=False) for network in proxies)
        self._by_place: dict[str, dict[C, None]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._by_place.values()))

    def enter(self, address: str, connection: C) -> None:
        """Count the connection; until `leave`."""
        self._by_place.setdefault(_place(address), {})[connection] = None

    def leave(self, address: str, connection: C) -> None:
        """It has ended."""
        place = _place(address)
        here = self._by_place.get(place, {})
        here.pop(connection, None)
        if not here:
            self._by_place.pop(place, None)

    def crowded(self, address: str) -> bool:
        """Whether the address has more connections than it may hold."""
        return len(self._by_place.get(_place(address), ())) > self._per_address and not self._speaks_for_many(address)

    def oldest(self, address: str, idle: Callable[[C], bool]) -> C | None:
        """The oldest idle connection of an address."""
        return next((each for each in self._by_place.get(_place(address), ()) if idle(each)), None)

    def expendable(self, idle: Callable[[C], bool]) -> C | None:
        """The oldest idle connection of the address that holds the most and has one."""
        for here in sorted(self._by_place.values(), key=len, reverse=True):
            if (found := next((each for each in here if idle(each)), None)) is not None:
                return found
        return None

    def _speaks_for_many(self, address: str) -> bool:
        ip = _ip(address)
        return ip is not None and any(ip in network for network in self._proxies)


def _ip(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return None
    return ip.ipv4_mapped or ip if isinstance(ip, ipaddress.IPv6Address) else ip


def _place(address: str) -> str:
    ip = _ip(address)
    if isinstance(ip, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((ip, 64), strict=False))
    return address if ip is None else str(ip)
