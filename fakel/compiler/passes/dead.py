"""Values that nobody reads are not computed."""

from __future__ import annotations

from dataclasses import dataclass, replace

from fakel.compiler.graph import Graph


@dataclass(frozen=True)
class DropUnread:
    """Keeps what results depend on."""

    name: str = "drop unread"

    def __call__(self, graph: Graph) -> Graph:
        wanted = {id(value) for _, value in graph.results}
        kept = []
        for value in reversed(graph.values):
            if id(value) in wanted:
                wanted.update(id(source) for source in value.sources)
                kept.append(value)
        return replace(graph, values=kept[::-1])
