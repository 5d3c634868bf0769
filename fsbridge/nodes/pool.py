"""The nodes, and the choice among them for the next call."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from fsbridge.nodes.node import Node


class NodePool:
    """Every configured node by name; `load` tells how many live calls of ours a node carries."""

    def __init__(self, nodes: Iterable[Node], load: Callable[[str], int]) -> None:
        self._nodes = {node.name: node for node in nodes}
        self._load = load

    def __iter__(self) -> Iterator[Node]:
        return iter(self._nodes.values())

    def get(self, name: str) -> Node | None:
        """The node of that name, if it is configured."""
        return self._nodes.get(name)

    def choose(self) -> Node | None:
        """The ready node with the fewest live calls, or None when none is ready."""
        ready = [node for node in self._nodes.values() if node.ready]
        return min(ready, key=lambda node: self._load(node.name), default=None)

    def unready(self) -> list[str]:
        """The nodes that take no calls now, each with the reason in words."""
        return [f"{node.name}: {why}" for node in self._nodes.values() if (why := node.unready_because)]
