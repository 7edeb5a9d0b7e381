"""Where the largest and smallest elements of rows are: argmax, argmin, max and min with indices."""

from __future__ import annotations

import math
from typing import Any

from fakel.compiler.kernels.reductions.rows import (
    INTEGER_MAXIMUM,
    INTEGER_MINIMUM,
    MAXIMUM,
    MINIMUM,
    Rows,
    kept_strides,
)
from fakel.compiler.loop_ir.language import INDEX, Expression, binary, literal, select
from fakel.compiler.planning.lowering import Access, lowers
from fakel.graph import Node
from fakel.tensor.size import contiguous_strides

# kernels over fewer elements stay on one thread
PARALLEL_ELEMENTS = 32768
_SIGNED = ("float32", "float64", "int64", "int32", "int16", "int8")
_NOWHERE = 2**63 - 1


def _rows(
    plan: Any, node: Node, source: Access, values: Access | None, indices: Access, largest: bool
) -> None:
    """Adds the kernel that finds the first of the extreme elements of each row; nan is one."""
    dim = node.parameters["dim"]
    shape = source.shape
    if dim is None:
        shape, dims = (source.count,), (0,)
        source = Access(source.buffer, source.offset, shape, (1,), source.dtype)
    else:
        dims = (dim,)
    steps = kept_strides(shape, dims)
    operands = [("x", source, source.strides), ("index", indices, steps)]
    if values is not None:
        operands.append(("value", values, steps))
    rows = Rows(node.operator.name, shape, dims, operands, source.scalar, vectors=1)
    if source.dtype.is_floating_point:
        fold = MAXIMUM if largest else MINIMUM
    else:
        fold = INTEGER_MAXIMUM if largest else INTEGER_MINIMUM

    def row() -> None:
        (best,) = rows.fold([(fold, source.scalar)], lambda: [rows.at("x")])

        def place() -> list[Expression]:
            x = rows.let(rows.at("x"))
            found = binary("==", x, best)
            if source.dtype.is_floating_point:
                found = binary("|", found, binary("!=", x, x))
            return [select(found, rows.position(), literal(_NOWHERE, INDEX))]

        (first,) = rows.fold([(INTEGER_MINIMUM, INDEX)], place)
        rows.put("index", first)
        if values is not None:
            rows.put("value", best)

    parallel = source.count >= PARALLEL_ELEMENTS
    rows.run(row, parallel)
    writes = [indices] if values is None else [indices, values]
    plan.call(rows.kernel, rows.accesses, writes=writes, parallel=parallel)


def _is_known(node: Node, source: Access) -> bool:
    if source.dtype.name not in _SIGNED or not source.count or not source.shape:
        return False
    whole = source.strides == contiguous_strides(source.shape)
    return node.parameters["dim"] is not None or whole


@lowers("argmax", "argmin")
def _position(plan: Any, node: Node) -> bool:
    source = plan.read(node.inputs[0])
    if not _is_known(node, source):
        return False
    _rows(plan, node, source, None, plan.result(node), node.operator.name == "argmax")
    return True


@lowers("max", "min")
def _with_position(plan: Any, node: Node) -> bool:
    source = plan.read(node.inputs[0])
    if not _is_known(node, source) or math.prod(node.shape[0]) == 0:
        return False
    values, indices = plan.results(node)
    _rows(plan, node, source, values, indices, node.operator.name == "max")
    return True
