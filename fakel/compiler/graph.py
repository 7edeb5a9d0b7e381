"""The compiler's own graph: what passes rewrite and the plan lowers.

Recorded nodes belong to the program that is being run and stay as they are. ``repr`` of a graph is
readable text, which tests compare::

    graph($0: float32[64, 784], $1: float32[128, 784], $2: float32[128])
      %0 = linear($0, $1, $2) : float32[64, 128]
      %1 = relu(%0) : float32[64, 128]
      return %1
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from fakel.graph import VALUE, Node, Operator


class Value:
    """One value: an operator, the values that it reads, static parameters, a shape and a dtype.

    Values with several outputs have tuples of shapes and dtypes and are picked from by "output".
    ``held``: somebody outside wants it after the run. Leaves have the operator VALUE; ``donated``
    says that nobody needs a leaf's own array after the run, and ``replaces`` of which leaf a value
    may take the array.
    """

    __slots__ = (
        "donated",
        "dtype",
        "held",
        "inputs",
        "operator",
        "parameters",
        "replaces",
        "shape",
    )

    def __init__(
        self,
        operator: Operator,
        inputs: tuple[Value | None, ...],
        parameters: dict[str, Any],
        shape: Any,
        dtype: Any,
    ) -> None:
        self.operator = operator
        self.inputs = inputs
        self.parameters = parameters
        self.shape = shape
        self.dtype = dtype
        self.held = False
        self.donated = False
        self.replaces: Value | None = None

    @property
    def name(self) -> str:
        """The operator's name."""
        return self.operator.name

    @property
    def sources(self) -> list[Value]:
        """The inputs that there are."""
        return [source for source in self.inputs if source is not None]

    def reading(self, inputs: tuple[Value | None, ...]) -> Value:
        """The same value of other inputs; itself where they are its own."""
        if all(new is old for new, old in zip(inputs, self.inputs, strict=True)):
            return self
        return Value(self.operator, inputs, self.parameters, self.shape, self.dtype)


class Group(Value):
    """Values that one lowering computes together, in order. Those of them that are read from
    outside are read as themselves.

    Args:
        name: which lowering.
        parts: the values; the group's shape and dtype are the last one's.
        parameters: what the lowering wants to know.
    """

    __slots__ = ("parts",)

    def __init__(self, name: str, parts: Iterable[Value], **parameters: Any) -> None:
        self.parts = tuple(parts)
        inside = {id(part) for part in self.parts}
        read = {id(s): s for part in self.parts for s in part.sources if id(s) not in inside}
        last = self.parts[-1]
        super().__init__(
            Operator(name, _no_meaning), tuple(read.values()), parameters, last.shape, last.dtype
        )


def _no_meaning(*inputs: Any, **parameters: Any) -> None:
    raise AssertionError("a group means what its parts mean")


@dataclass
class Graph:
    """Values in an order in which they can be computed.

    ``results`` says which values are wanted: pairs of a number (of the recorded node whose value it
    is) and the value.
    """

    leaves: list[Value] = field(default_factory=list)
    values: list[Value] = field(default_factory=list)
    results: list[tuple[int, Value]] = field(default_factory=list)

    @classmethod
    def of(cls, program: list[Node], leaves: list[Node], donated: Iterable[int] = ()) -> Graph:
        """The graph of recorded nodes.

        Args:
            program: the nodes, in order.
            leaves: the computed nodes that they read.
            donated: the numbers of leaves whose arrays nobody needs any longer.
        """
        made: dict[int, Value] = {}
        graph = cls()
        for leaf in leaves:
            made[id(leaf)] = Value(VALUE, (), {}, leaf.shape, leaf.dtype)
            graph.leaves.append(made[id(leaf)])
        for number in donated:
            graph.leaves[number].donated = True
        for number, node in enumerate(program):
            inputs = tuple(None if source is None else made[id(source)] for source in node.inputs)
            value = Value(node.operator, inputs, node.parameters, node.shape, node.dtype)
            made[id(node)] = value
            graph.values.append(value)
            # a node with several outputs has no value of its own: they have
            if node.held and not isinstance(node.dtype, tuple):
                value.held = True
                graph.results.append((number, value))
        return graph

    def __iter__(self) -> Iterator[Value]:
        """The values, those in groups too."""
        for value in self.values:
            if isinstance(value, Group):
                yield from value.parts
            else:
                yield value

    def rewritten(self, change: Callable[[Value], Value]) -> Graph:
        """The graph with values replaced.

        Args:
            change: gets each value, which reads what came of its inputs, and returns what takes its
                place: itself, a value made before, or a new one that reads such values.
        """
        became: dict[int, Value] = {id(leaf): leaf for leaf in self.leaves}
        known = set(became)
        result = Graph(self.leaves)
        for value in self.values:
            inputs = tuple(None if each is None else became[id(each)] for each in value.inputs)
            new = change(value.reading(inputs))
            became[id(value)] = new
            result._append(new, known)
        result.results = [(number, became[id(value)]) for number, value in self.results]
        held = {id(value) for _, value in result.results}
        for value in result.values:
            value.held = id(value) in held
        return result

    def _append(self, value: Value, known: set[int]) -> None:
        if id(value) not in known:
            known.add(id(value))
            for source in value.sources:
                self._append(source, known)
            self.values.append(value)

    def readers(self) -> dict[int, list[Value]]:
        """Who reads each value, by the value's id. Whoever reads twice is there twice."""
        found: dict[int, list[Value]] = {}
        for value in self:
            for source in value.sources:
                found.setdefault(id(source), []).append(value)
        return found

    def check(self) -> None:
        """Raises AssertionError when a value is read before it is computed."""
        known = {id(leaf) for leaf in self.leaves}
        for value in self:
            assert all(id(s) in known for s in value.sources), f"{value.name} is too early"
            known.add(id(value))
        assert all(id(value) in known for _, value in self.results), "a result is not computed"

    def __repr__(self) -> str:
        names = {id(leaf): f"${number}" for number, leaf in enumerate(self.leaves)}
        leaves = [
            f"{names[id(leaf)]}: {_type(leaf)}{' donated' if leaf.donated else ''}"
            for leaf in self.leaves
        ]
        lines = [f"graph({', '.join(leaves)})"]
        for value in self.values:
            parts, margin = (value,), "  "
            if isinstance(value, Group):
                lines.append(f"  {value.name}")
                parts, margin = value.parts, "    "
            for part in parts:
                names[id(part)] = f"%{len(names) - len(self.leaves)}"
                lines.append(f"{margin}{names[id(part)]} = {_text(part, names)}")
        wanted = dict.fromkeys(names[id(value)] for _, value in self.results)
        lines.append(f"  return {', '.join(wanted)}".rstrip())
        return "\n".join(lines) + "\n"


def _text(value: Value, names: dict[int, str]) -> str:
    inputs = ["none" if each is None else names[id(each)] for each in value.inputs]
    parameters = [f"{name}={setting}" for name, setting in value.parameters.items()]
    text = f"{value.name}({', '.join(inputs + parameters)}) : {_type(value)}"
    return text if value.replaces is None else f"{text} replaces {names[id(value.replaces)]}"


def _type(value: Value) -> str:
    if isinstance(value.dtype, tuple):
        pairs = zip(value.dtype, value.shape, strict=True)
        return f"({', '.join(f'{d.name}{list(s)}' for d, s in pairs)})"
    return f"{value.dtype.name}{list(value.shape)}"
