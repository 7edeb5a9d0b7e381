"""Softmax and log-softmax over one dimension, and their gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fakel.compiler.kernels.reductions.rows import LARGEST, SUM, Rows
from fakel.compiler.loop_ir import math as functions
from fakel.compiler.loop_ir.language import Expression
from fakel.compiler.planning.lowering import lowers
from fakel.graph import Node

# kernels over fewer elements stay on one thread
PARALLEL_ELEMENTS = 8192


def _rows(plan: Any, node: Node, names: tuple[str, ...], vectors: int, walks: int) -> Rows:
    """The node's rows; the operands are its inputs, named, of which the first may be computed on
    the way, and its result, "out".
    """
    others = [plan.read(source) for source in node.inputs[1:]]
    given = [plan.operand(node.inputs[0], node, walks), *others, plan.result(node)]
    operands = [(name, each, None) for name, each in zip((*names, "out"), given, strict=True)]
    dims = (node.parameters["dim"],)
    return Rows(node.operator.name, node.shape, dims, operands, given[-1].scalar, vectors)


def _known(node: Node, *dtypes: str) -> bool:
    kinds = [node.dtype.name, *(source.dtype.name for source in node.inputs if source is not None)]
    return all(kind in dtypes and kind == kinds[0] for kind in kinds) and 0 not in node.shape


def _call(plan: Any, rows: Rows, row: Callable[[], None]) -> bool:
    out = rows.access("out")
    parallel = out.count >= PARALLEL_ELEMENTS
    rows.run(row, parallel)
    plan.call(rows.kernel, rows.accesses, writes=[out, *rows.stored], parallel=parallel)
    return True


@lowers("softmax")
def _softmax(plan: Any, node: Node) -> bool:
    if not _known(node, "float32", "float64"):
        return False
    rows = _rows(plan, node, ("x",), 2, walks=3)
    scalar = rows.access("out").scalar

    def row() -> None:
        (highest,) = rows.fold([(LARGEST, scalar)], lambda: [rows.at("x")])

        def power() -> list[Expression]:
            value = rows.let(functions.exp(rows.let(rows.at("x") - highest)))
            rows.put("out", value)
            return [value]

        (total,) = rows.fold([(SUM, scalar)], power)
        scale = rows.let(1.0 / total)
        rows.walk(lambda: rows.put("out", rows.at("out") * scale))

    return _call(plan, rows, row)


@lowers("log_softmax")
def _log_softmax(plan: Any, node: Node) -> bool:
    if not _known(node, "float32", "float64"):
        return False
    rows = _rows(plan, node, ("x",), 2, walks=3)
    scalar = rows.access("out").scalar

    def row() -> None:
        (highest,) = rows.fold([(LARGEST, scalar)], lambda: [rows.at("x")])
        (total,) = rows.fold(
            [(SUM, scalar)], lambda: [functions.exp(rows.let(rows.at("x") - highest))]
        )
        logarithm = rows.let(functions.log(total))
        rows.walk(lambda: rows.put("out", rows.at("x") - highest - logarithm))

    return _call(plan, rows, row)


@lowers("softmax_gradient")
def _softmax_gradient(plan: Any, node: Node) -> bool:
    if not _known(node, "float32", "float64"):
        return False
    rows = _rows(plan, node, ("grad", "result"), 4, walks=2)
    scalar = rows.access("out").scalar

    def row() -> None:
        (inner,) = rows.fold([(SUM, scalar)], lambda: [rows.at("grad") * rows.at("result")])

        def pulled() -> None:
            softened = rows.let(rows.at("result"))
            rows.put("out", rows.at("grad") * softened - softened * inner)

        rows.walk(pulled)

    return _call(plan, rows, row)


@lowers("log_softmax_gradient")
def _log_softmax_gradient(plan: Any, node: Node) -> bool:
    if not _known(node, "float32", "float64"):
        return False
    rows = _rows(plan, node, ("grad", "result"), 2, walks=2)
    scalar = rows.access("out").scalar

    def row() -> None:
        (total,) = rows.fold([(SUM, scalar)], lambda: [rows.at("grad")])
        rows.walk(
            lambda: rows.put(
                "out", rows.at("grad") - functions.exp(rows.let(rows.at("result"))) * total
            )
        )

    return _call(plan, rows, row)
