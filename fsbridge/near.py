"""The word that somebody probably meant, among those that there are. Pure.

For messages about words that anybody may send by the thousand: looking one up costs what it is long, however many
words there are. Two words are near when taking a letter or two from each leaves the same; case, ``_`` and ``-`` do not
count.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

LONGEST = 64
"""Characters of a word that are looked at."""


class Words:
    """Words that there are, to be asked which of them is near to another."""

    def __init__(self, words: Iterable[str]) -> None:
        self._near: dict[str, tuple[int, str]] = {}
        for word in words:
            for slips, left in _left(word):
                if slips < self._near.get(left, (slips + 1, ""))[0]:
                    self._near[left] = slips, word

    def nearest(self, word: str) -> str | None:
        """The nearest one, the first of several; None where all are far."""
        known = self._near
        found = [(slips + known[left][0], known[left][1]) for slips, left in _left(word) if left in known]
        return min(found, key=lambda each: each[0])[1] if found else None


def _left(word: str) -> Iterator[tuple[int, str]]:
    """What is left of a word, and how many letters were taken: none, one, and of middling words two.

    At most 79 for each word, so that all of a document's together stay in proportion to it.
    """
    plain = word[:LONGEST].casefold().replace("_", "").replace("-", "")
    size = len(plain)
    yield 0, plain
    if size < 3:
        return
    for at in range(size):
        yield 1, plain[:at] + plain[at + 1 :]
    if not 6 <= size <= 12:
        return
    for at in range(size):
        for other in range(at + 1, size):
            yield 2, plain[:at] + plain[at + 1 : other] + plain[other + 1 :]
