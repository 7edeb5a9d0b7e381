"""Running a program again on a run of calls that led to it before."""

from __future__ import annotations

import weakref
from typing import Any

from fakel.graph import Node, Run


class Replay:
    """A compiled program, and where a run has the nodes and leaves that it needs.

    Args:
        native: the compiled program.
        program: the nodes that it was compiled for.
        leaves: their leaves, as the program numbers them.
        donated: the leaves whose arrays may be overwritten.
    """

    def __init__(
        self, native: Any, program: list[Node], leaves: list[Node], donated: tuple[int, ...]
    ) -> None:
        # weak: the executor bounds the number of programs
        self.native = weakref.ref(native)
        self.donated = donated
        # until `place` says where they are
        self.positions = {id(node): place for place, node in enumerate(program) if node.held}
        self.identities = [id(leaf) for leaf in leaves]
        self.outputs: list[tuple[int, int]] = []
        self.results: Any = None
        self.leaves: list[int] = []

    def place(self, nodes: list[int], leaves: list[int]) -> Replay:
        """Finds the program's nodes among those of the run, which are given by identity."""
        self.outputs = [
            (self.positions[node], number)
            for number, node in enumerate(nodes)
            if node in self.positions
        ]
        numbers = {leaf: number for number, leaf in enumerate(leaves)}
        self.leaves = [numbers[leaf] for leaf in self.identities]
        native, renumbered = self.native(), dict(self.outputs)
        wholes, views = native.results
        self.results = (
            [(renumbered[node], place) for node, place in wholes],
            [(renumbered[node], *view) for node, *view in views],
        )
        self.positions, self.identities = {}, []
        return self

    def done(self, run: Run) -> bool:
        """Whether the held nodes of a run are computed."""
        return all(run.nodes[number].value is not None for _, number in self.outputs)

    def execute(self, run: Run) -> bool:
        """Computes the held nodes of a run; False when that takes another program."""
        native = self.native()
        if native is None:
            return False
        all_leaves = run.leaves
        leaves = [all_leaves[number] for number in self.leaves]
        return self.compute(native, run.nodes, leaves, self.results) is not None

    def compute(self, native: Any, nodes: list[Any], leaves: list[Node], results: Any) -> Any:
        """Computes nodes from leaves in the program's order; see `Program.run`. None, with nothing
        done, when that takes another program.
        """
        try:
            return native.run(nodes, leaves, results, self.donated)
        except Exception:
            return None  # who runs the nodes one by one finds out which of them failed
