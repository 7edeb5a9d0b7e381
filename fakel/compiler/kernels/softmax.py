"""Softmax and log-softmax over one dimension, and their gradients."""

from __future__ import annotations

from typing import Any

from fakel.compiler import math as functions
from fakel.compiler.loop_ir import Expression
from fakel.compiler.lowering import lowers
from fakel.compiler.rows import LARGEST, SUM, Rows
from fakel.graph import Node

# kernels over fewer elements stay on one thread
PARALLEL_ELEMENTS = 8192


def _rows(plan: Any, node: Node, vectors: int) -> Rows:
    """The node's rows; the operands are its inputs and then its result."""
    sources = [plan.read(source) for source in node.inputs]
    out = plan.result(node)
    operands = [(f"x{i}", access, access.strides) for i, access in enumerate(sources)]
    operands.append(("out", out, out.strides))
    dims = (node.parameters["dim"],)
    return Rows(node.operator.name, node.shape, dims, operands, out.scalar, vectors)


def _known(node: Node, *dtypes: str) -> bool:
    kinds = [node.dtype.name, *(source.dtype.name for source in node.inputs if source is not None)]
    return all(kind in dtypes and kind == kinds[0] for kind in kinds) and 0 not in node.shape


def _call(plan: Any, rows: Rows, row: Any, out: int) -> bool:
    parallel = rows.accesses[out].count >= PARALLEL_ELEMENTS
    rows.run(row, parallel)
    plan.call(rows.kernel, rows.accesses, writes=[rows.accesses[out]], parallel=parallel)
    return True


@lowers("softmax")
def _softmax(plan: Any, node: Node) -> bool:
    if not _known(node, "float32"):
        return False
    rows = _rows(plan, node, 2)

    def row() -> None:
        (highest,) = rows.fold([(LARGEST, "f32")], lambda: [rows.at(0)])

        def power() -> list[Expression]:
            value = rows.let(functions.exp(rows.let(rows.at(0) - highest)))
            rows.put(1, value)
            return [value]

        (total,) = rows.fold([(SUM, "f32")], power)
        scale = rows.let(1.0 / total)
        rows.walk(lambda: rows.put(1, rows.at(1) * scale))

    return _call(plan, rows, row, 1)


@lowers("log_softmax")
def _log_softmax(plan: Any, node: Node) -> bool:
    if not _known(node, "float32"):
        return False
    rows = _rows(plan, node, 2)

    def row() -> None:
        (highest,) = rows.fold([(LARGEST, "f32")], lambda: [rows.at(0)])
        (total,) = rows.fold(
            [(SUM, "f32")], lambda: [functions.exp(rows.let(rows.at(0) - highest))]
        )
        logarithm = rows.let(functions.log(total))
        rows.walk(lambda: rows.put(1, rows.at(0) - highest - logarithm))

    return _call(plan, rows, row, 1)


@lowers("softmax_gradient")
def _softmax_gradient(plan: Any, node: Node) -> bool:
    if not _known(node, "float32", "float64"):
        return False
    rows = _rows(plan, node, 4)
    scalar = rows.accesses[2].scalar

    def row() -> None:
        (inner,) = rows.fold([(SUM, scalar)], lambda: [rows.at(0) * rows.at(1)])

        def pulled() -> None:
            softened = rows.let(rows.at(1))
            rows.put(2, rows.at(0) * softened - softened * inner)

        rows.walk(pulled)

    return _call(plan, rows, row, 2)


@lowers("log_softmax_gradient")
def _log_softmax_gradient(plan: Any, node: Node) -> bool:
    if not _known(node, "float32"):
        return False
    rows = _rows(plan, node, 2)

    def row() -> None:
        (total,) = rows.fold([(SUM, "f32")], lambda: [rows.at(0)])
        rows.walk(lambda: rows.put(2, rows.at(0) - functions.exp(rows.let(rows.at(1))) * total))

    return _call(plan, rows, row, 2)
