"""Reductions over any dimensions: sums, means, norms, extremes, logic, variances, log-sum-exp."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fakel.compiler.kernels.pointwise.fusion import Operand, operand_of
from fakel.compiler.kernels.reductions.rows import (
    EVERY,
    INTEGER_MAXIMUM,
    INTEGER_MINIMUM,
    LARGEST,
    MAXIMUM,
    MINIMUM,
    PRODUCT,
    SOME,
    SUM,
    Fold,
    Rows,
    kept_strides,
    wide_type,
)
from fakel.compiler.loop_ir import math as functions
from fakel.compiler.loop_ir.language import Expression, Type, binary, call, cast, literal, select
from fakel.compiler.planning.lowering import SCALARS, Access, lowers
from fakel.graph import Node
from fakel.tensor import dtypes

# reductions of fewer elements stay on one thread
PARALLEL_ELEMENTS = 65536
# a reduction to few values is cut into this many parts, whatever the number of threads
_PARTS = 32
_FEW_ROWS = 16
_ADDED = ("float32", "float64", "int64", "int32")
_SIGNED = ("float32", "float64", "int64", "int32", "int16", "int8")

Term = Callable[[Expression], Expression]


def _same(value: Expression) -> Expression:
    return value


@dataclass(frozen=True)
class Reduction:
    """What a reduction does: the term of an element, how terms combine (in an element type), and
    what becomes of the result.
    """

    name: str
    fold: Fold
    scalar: str
    term: Term = _same
    finish: Term = _same


def reduce_into(
    plan: Any, reduction: Reduction, source: Operand, dims: Sequence[int], out: Access
) -> None:
    """Adds the kernel calls that reduce ``source`` over ``dims`` into the contiguous ``out``."""
    rows = math.prod(size for dim, size in enumerate(source.shape) if dim not in dims)
    if source.count < PARALLEL_ELEMENTS or rows >= _FEW_ROWS:
        _reduce(plan, reduction, source, dims, out, kept_strides(source.shape, dims))
    else:
        _reduce_in_parts(plan, reduction, source, dims, out, rows)


def _reduce(
    plan: Any,
    reduction: Reduction,
    source: Operand,
    dims: Sequence[int],
    out: Access,
    steps: Sequence[int],
) -> None:
    operands = [("x", source, None), ("out", out, steps)]
    rows = Rows(reduction.name, source.shape, dims, operands, source.scalar)

    def row() -> None:
        kind = (reduction.fold, reduction.scalar)
        (value,) = rows.fold([kind], lambda: [reduction.term(rows.let(rows.at("x")))], wide=True)
        rows.put("out", reduction.finish(value))

    parallel = source.count >= PARALLEL_ELEMENTS
    rows.run(row, parallel)
    writes = [out, *rows.stored]
    plan.call(rows.kernel, rows.accesses, writes=writes, parallel=parallel)


def _reduce_in_parts(
    plan: Any, reduction: Reduction, source: Operand, dims: Sequence[int], out: Access, rows: int
) -> None:
    """Reduces parts of the outermost dimension on their own, and then the parts' results."""
    shape, far = source.shape, source.sources[0].strides
    dim = max(dims, key=lambda d: (shape[d] > 1, abs(far[d]), shape[d]))
    size = math.ceil(shape[dim] / _PARTS)
    if shape[dim] > 64 * _PARTS:
        size = math.ceil(size / 64) * 64
    whole, rest = divmod(shape[dim], size)
    scalar = wide_type(reduction.fold, reduction.scalar)
    kind = dtypes.float64 if scalar == "f64" else _dtype_of(scalar, source, out)
    parts = plan.scratch((whole + bool(rest)) * rows, kind)
    first = replace(reduction, finish=_same)

    def split(access: Access) -> Access:
        return replace(
            access,
            shape=(whole, *shape[:dim], size, *shape[dim + 1 :]),
            strides=(access.strides[dim] * size, *access.strides),
        )

    def left(access: Access) -> Access:
        return replace(
            access,
            offset=access.offset + whole * size * access.strides[dim],
            shape=(*shape[:dim], rest, *shape[dim + 1 :]),
        )

    inner = [d + 1 for d in dims]
    several = source.seen(split)
    _reduce(plan, first, several, inner, parts, kept_strides(several.shape, inner))
    if rest:
        last = source.seen(left)
        place = replace(parts, offset=whole * rows)
        _reduce(plan, first, last, dims, place, kept_strides(last.shape, dims))
    table = replace(parts, shape=(whole + bool(rest), rows), strides=(rows, 1))
    name = f"{reduction.name}_of_parts"
    second = replace(reduction, name=name, scalar=scalar, term=_same)
    _reduce(plan, second, operand_of(table), (0,), out, (0, 1))


def _dtype_of(scalar: str, *given: Access | Operand) -> Any:
    """A tensor's dtype for an element type: that of one of those given."""
    return next(each.dtype for each in given if each.scalar == scalar)


def _lower(
    plan: Any, node: Node, dtypes: Sequence[str], make: Callable[[Operand], Reduction]
) -> bool:
    given = node.inputs[0]
    assert given is not None
    if given.dtype.name not in dtypes or 0 in given.shape:
        return False
    source = plan.operand(given, node)
    reduce_into(plan, make(source), source, node.parameters["dims"], plan.result(node))
    return True


def _count(node: Node) -> int:
    return math.prod(node.inputs[0].shape[dim] for dim in node.parameters["dims"])  # type: ignore[union-attr]


@lowers("sum")
def _sum(plan: Any, node: Node) -> bool:
    return _lower(plan, node, _ADDED, lambda x: Reduction("sum", SUM, x.scalar))


@lowers("mean")
def _mean(plan: Any, node: Node) -> bool:
    count = _count(node)
    return _lower(
        plan,
        node,
        ("float32", "float64"),
        lambda x: Reduction("mean", SUM, x.scalar, finish=lambda total: total / count),
    )


@lowers("vector_norm")
def _vector_norm(plan: Any, node: Node) -> bool:
    p = node.parameters["p"]

    def make(x: Operand) -> Reduction:
        if p == 2:
            return Reduction(
                "norm", SUM, x.scalar, lambda v: v * v, lambda total: call("sqrt", total)
            )
        fold = SUM if p == 1 else MAXIMUM if p > 0 else MINIMUM
        return Reduction("norm", fold, x.scalar, lambda v: call("fabs", v))

    return p in (1, 2, math.inf, -math.inf) and _lower(plan, node, ("float32", "float64"), make)


@lowers("amax", "amin")
def _amax(plan: Any, node: Node) -> bool:
    largest = node.operator.name == "amax"

    def make(x: Operand) -> Reduction:
        if x.dtype.is_floating_point:
            fold = MAXIMUM if largest else MINIMUM
        else:
            fold = INTEGER_MAXIMUM if largest else INTEGER_MINIMUM
        return Reduction(node.operator.name, fold, x.scalar)

    return _lower(plan, node, _SIGNED, make)


def _truth(value: Expression) -> Expression:
    return select(binary("!=", value, 0), literal(1, "u8"), 0)


@lowers("all", "any")
def _logic(plan: Any, node: Node) -> bool:
    fold = EVERY if node.operator.name == "all" else SOME
    return _lower(
        plan,
        node,
        (*_SIGNED, "uint8", "bool"),
        lambda x: Reduction(node.operator.name, fold, "u8", _truth),
    )


@lowers("count_nonzero")
def _count_nonzero(plan: Any, node: Node) -> bool:
    return _lower(
        plan,
        node,
        (*_SIGNED, "uint8", "bool"),
        lambda x: Reduction(
            "count", SUM, "i64", lambda v: select(binary("!=", v, 0), literal(1, "i64"), 0)
        ),
    )


# -------------------------------------------------------------------- more than one walk


def _over_rows(plan: Any, node: Node, scalar: str) -> tuple[Rows, list[Access], bool]:
    """The rows of a reduction that goes over them twice, with the operands x and out."""
    source, out = plan.operand(node.inputs[0], node, walks=2), plan.result(node)
    dims = node.parameters["dims"]
    operands = [("x", source, None), ("out", out, kept_strides(source.shape, dims))]
    rows = Rows(node.operator.name, source.shape, dims, operands, scalar, vectors=2)
    return rows, [out, *rows.stored], source.count >= PARALLEL_ELEMENTS // 4


@lowers("var", "std")
def _var(plan: Any, node: Node) -> bool:
    given = node.inputs[0]
    assert given is not None
    if given.dtype.name not in ("float32", "float64") or 0 in given.shape:
        return False
    count = _count(node)
    degrees = float(max(count - node.parameters["correction"], 0))
    rows, writes, parallel = _over_rows(plan, node, "f64")

    def row() -> None:
        (total,) = rows.fold([(SUM, "f64")], lambda: [cast(rows.at("x"), "f64")])
        mean = rows.let(total / float(count))

        def square() -> list[Expression]:
            gap = rows.let(cast(rows.at("x"), "f64") - mean)
            return [gap * gap]

        (squares,) = rows.fold([(SUM, "f64")], square)
        variance = squares / degrees
        rows.put("out", call("sqrt", variance) if node.operator.name == "std" else variance)

    rows.run(row, parallel)
    plan.call(rows.kernel, rows.accesses, writes=writes, parallel=parallel)
    return True


@lowers("logsumexp")
def _logsumexp(plan: Any, node: Node) -> bool:
    given = node.inputs[0]
    assert given is not None
    if given.dtype.name not in ("float32", "float64") or 0 in given.shape:
        return False
    scalar = SCALARS[given.dtype.name]
    rows, writes, parallel = _over_rows(plan, node, scalar)

    def row() -> None:
        (highest,) = rows.fold([(LARGEST, scalar)], lambda: [rows.at("x")])
        finite = binary("<", call("fabs", highest), math.inf)
        shift = rows.let(select(finite, highest, 0.0))
        (total,) = rows.fold(
            [(SUM, scalar)], lambda: [functions.exp(rows.let(rows.at("x") - shift))]
        )
        rows.put("out", functions.log(total) + shift)

    rows.run(row, parallel)
    plan.call(rows.kernel, rows.accesses, writes=writes, parallel=parallel)
    return True


@lowers("prod")
def _prod(plan: Any, node: Node) -> bool:
    given, dim = node.inputs[0], node.parameters["dim"]
    assert given is not None
    if given.dtype.name not in _ADDED or 0 in given.shape or not given.shape:
        return False
    dims = tuple(range(len(given.shape))) if dim is None else (dim,)
    source = plan.operand(given, node)
    # of many float32 factors, each would round the product
    wide = "f64" if source.scalar == "f32" else source.scalar
    reduction = Reduction("prod", PRODUCT, wide, lambda value: cast(value, wide))
    reduce_into(plan, reduction, source, dims, plan.result(node))
    return True


@lowers("cumsum", "cumprod")
def _cumulative(plan: Any, node: Node) -> bool:
    given = node.inputs[0]
    assert given is not None
    if given.dtype.name not in _ADDED or 0 in given.shape or not given.shape:
        return False
    source = plan.operand(given, node)
    out = plan.result(node)
    operands = [("x", source, None), ("out", out, None)]
    dims = (node.parameters["dim"],)
    name = node.operator.name
    fold = SUM if name == "cumsum" else PRODUCT
    rows = Rows(name, source.shape, dims, operands, source.scalar, ordered=True)
    # single precision would lose what is added late
    wide = "f64" if fold is SUM and source.scalar == "f32" else source.scalar

    def row() -> None:
        total = rows.build.accumulator(fold.neutral(wide), Type(wide, rows.lanes))

        def step() -> None:
            rows.build.assign(total, fold.combine(total, cast(rows.at("x"), wide)))
            rows.put("out", total)

        rows.walk(step)

    parallel = source.count >= PARALLEL_ELEMENTS
    rows.run(row, parallel)
    plan.call(rows.kernel, rows.accesses, writes=[out, *rows.stored], parallel=parallel)
    return True
