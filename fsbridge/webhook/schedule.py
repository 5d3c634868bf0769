"""Whose webhook is tried next, and when. Pure: times are monotonic seconds, given by the caller.

An entry is one call that owes webhooks, and is at one place at a time: it waits for its moment, is ready, or is
under way. So a call's webhooks go out one after the other. Receivers that never answer hold only their own up:

* organizations take turns, and within one organization its receivers' hosts do;
* one organization, and one host of it, may have only so many deliveries under way;
* when the places that all share are taken, each organization still has a few of its own.

An organization with more calls than are kept in mind loses those whose moment is furthest off: they stand in the
store, and are added again when there is room.
"""

from __future__ import annotations

import heapq
import itertools
from collections import Counter, OrderedDict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum, auto
from math import inf

from fsbridge.model.ids import OrgId, SessionId

KNOWN = 50_000
"""Calls of one organization that are kept in mind: about 20 MB."""


@dataclass(frozen=True, slots=True)
class Debtor:
    """A call that owes webhooks, all to the same receiver."""

    session_id: SessionId
    org_id: OrgId
    host: str


@dataclass(frozen=True, slots=True)
class Turn:
    """A delivery that may begin. `since` is when the call began to owe; `timed`: its moment has been waited for."""

    debtor: Debtor
    since: float
    timed: bool


@dataclass(frozen=True, slots=True)
class Shares:
    """Deliveries under way at a time: of all together, of one organization, of one host of it.

    An organization with fewer than `own` may begin one even beyond `total`. `known` bounds its entries.
    """

    total: int
    org: int
    host: int
    own: int
    known: int = KNOWN


def shares_of(workers: int) -> Shares:
    """Most of the places for one organization alone, half of them for one host, a sixteenth for everybody."""
    return Shares(workers, max(1, workers * 3 // 4), max(1, workers // 2), max(1, workers // 16))


class _Place(Enum):
    WAITING = auto()
    READY = auto()
    UNDER_WAY = auto()
    GONE = auto()


@dataclass(slots=True, eq=False)
class _Entry:
    debtor: Debtor
    org: _Org
    since: float
    due: float
    timed: bool
    place: _Place = _Place.GONE
    news: bool = False


@dataclass(slots=True, eq=False)
class _Org:
    id: OrgId
    known: int = 0
    under_way: int = 0
    busy: Counter[str] = field(default_factory=Counter)
    ready: OrderedDict[str, deque[_Entry]] = field(default_factory=OrderedDict)
    horizon: float = inf
    """While the organization has too many entries: what is due from then on is left to the store."""


class Schedule:
    """All that owe. An entry is `add`ed, `take`n when its turn comes, then `postpone`d or `settle`d."""

    def __init__(self, shares: Shares) -> None:
        self._shares = shares
        self._entries: dict[SessionId, _Entry] = {}
        self._orgs: dict[OrgId, _Org] = {}
        self._with_ready: OrderedDict[OrgId, _Org] = OrderedDict()
        self._waiting: list[tuple[float, int, _Entry]] = []
        self._order = itertools.count()
        self._under_way = 0

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, session_id: SessionId) -> bool:
        return session_id in self._entries

    def add(self, debtor: Debtor, due: float, since: float, *, timed: bool) -> bool:
        """The call owes something. One that is known keeps its moment, but is not settled by a look from before this.

        False: its organization has too many entries that are due sooner.
        """
        entry = self._entries.get(debtor.session_id)
        if entry is not None:
            entry.news = True
            return True
        org = self._orgs.get(debtor.org_id) or _Org(debtor.org_id)
        if due >= org.horizon or (org.known >= self._shares.known and not self._make_room(org, due)):
            return False
        self._orgs[org.id] = org
        org.known += 1
        entry = self._entries[debtor.session_id] = _Entry(debtor, org, since, due, timed)
        self._wait(entry)
        return True

    def take(self, now: float) -> Turn | None:
        """The next delivery to begin, if there is one whose moment has come and a place for it."""
        self._ripen(now)
        entry = next(self._eligible(), None)
        if entry is None:
            return None
        self._unready(entry)
        entry.place, entry.news = _Place.UNDER_WAY, False
        entry.org.under_way += 1
        entry.org.busy[entry.debtor.host] += 1
        self._under_way += 1
        return Turn(entry.debtor, entry.since, entry.timed)

    def pause(self, now: float) -> float | None:
        """Seconds until an entry's moment comes; None while none waits. What is ready waits for a place, not a time."""
        while self._waiting and self._waiting[0][2].place is not _Place.WAITING:
            heapq.heappop(self._waiting)
        return max(0.0, self._waiting[0][0] - now) if self._waiting else None

    def postpone(self, session_id: SessionId, due: float) -> None:
        """The delivery under way has ended, and the call's next one is to begin at that time."""
        entry = self._leave(session_id)
        if due >= entry.org.horizon:
            self._forget(entry)
            return
        entry.due, entry.timed = due, True
        self._wait(entry)

    def settle(self, session_id: SessionId, now: float) -> None:
        """The delivery under way has ended, and the store showed nothing more; what was added since is looked for."""
        entry = self._leave(session_id)
        if entry.news:
            entry.due = entry.since = now
            self._wait(entry)
        else:
            self._forget(entry)

    # --- the places --------------------------------------------------------------------------------------

    def _wait(self, entry: _Entry) -> None:
        entry.place = _Place.WAITING
        heapq.heappush(self._waiting, (entry.due, next(self._order), entry))

    def _ripen(self, now: float) -> None:
        while self._waiting and self._waiting[0][0] <= now:
            entry = heapq.heappop(self._waiting)[2]
            if entry.place is _Place.WAITING:
                entry.place = _Place.READY
                entry.org.ready.setdefault(entry.debtor.host, deque()).append(entry)
                self._with_ready.setdefault(entry.org.id, entry.org)

    def _eligible(self) -> Iterator[_Entry]:
        """The first ready entry of each organization, in the order of their turns, for which there is a place."""
        shares = self._shares
        for org in self._with_ready.values():
            if org.under_way >= shares.org or (self._under_way >= shares.total and org.under_way >= shares.own):
                continue
            for host, queue in org.ready.items():
                if org.busy[host] < shares.host:
                    yield queue[0]
                    break

    def _unready(self, entry: _Entry) -> None:
        """Take the entry from its queue; its host and its organization have had their turns."""
        org, host = entry.org, entry.debtor.host
        org.ready[host].popleft()
        if org.ready[host]:
            org.ready.move_to_end(host)
        else:
            del org.ready[host]
        if org.ready:
            self._with_ready.move_to_end(org.id)
        else:
            del self._with_ready[org.id]

    def _leave(self, session_id: SessionId) -> _Entry:
        entry = self._entries[session_id]
        org, host = entry.org, entry.debtor.host
        org.under_way -= 1
        org.busy[host] -= 1
        if not org.busy[host]:
            del org.busy[host]
        self._under_way -= 1
        return entry

    def _forget(self, entry: _Entry) -> None:
        org = entry.org
        entry.place = _Place.GONE
        del self._entries[entry.debtor.session_id]
        org.known -= 1
        if org.known <= self._shares.known // 2:
            org.horizon = inf
        if not org.known:
            del self._orgs[org.id]

    def _make_room(self, org: _Org, due: float) -> bool:
        """Leave a tenth of the organization's entries to the store, those due last and later than `due`."""
        later = [
            entry
            for _, _, entry in self._waiting
            if entry.org is org and entry.place is _Place.WAITING and entry.due > due
        ]
        later.sort(key=lambda entry: entry.due)
        left = later[-max(1, self._shares.known // 10) :]
        for entry in left:
            self._forget(entry)
        # Also bounds the heap, which would hold what is forgotten until its time has come.
        self._waiting = [item for item in self._waiting if item[2].place is _Place.WAITING]
        heapq.heapify(self._waiting)
        org.horizon = left[0].due if left else due
        return bool(left)
