"""Batch, layer, group and root-mean-square normalisation, and their gradients.

Each row (a channel, a sample, a group of a sample) is read for its mean, read for its variance and
then normalised, by one thread, so that it comes from the cache the second and third time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from fakel.compiler.kernels.pointwise.fusion import Operand, Result
from fakel.compiler.kernels.reductions.rows import SUM, Rows, kept_strides
from fakel.compiler.loop_ir.language import Expression, call, cast, fma
from fakel.compiler.planning.lowering import Access, lowers
from fakel.graph import Node
from fakel.tensor.size import contiguous_strides

# kernels over fewer elements stay on one thread
PARALLEL_ELEMENTS = 32768

Given = tuple[str, Access | Operand | Result, Sequence[int] | None]


def _known(node: Node) -> bool:
    kinds = {source.dtype.name for source in node.inputs if source is not None}
    shapes = [source.shape for source in node.inputs if source is not None]
    return kinds in ({"float32"}, {"float64"}) and not any(0 in shape for shape in shapes)


def _reads(plan: Any, node: Node, fused: int = -1) -> list[Access | None]:
    """Where inputs lie, but for one that may be computed on the way."""
    return [
        None if source is None or position == fused else plan.read(source)
        for position, source in enumerate(node.inputs)
    ]


def _call(
    plan: Any,
    name: str,
    shape: Sequence[int],
    dims: Sequence[int],
    operands: Sequence[Given | None],
    row: Callable[[Rows], None],
    written: Sequence[str],
) -> None:
    """Adds the call of a kernel over the rows ``dims`` of ``shape``; absent operands are left
    out.
    """
    present = [operand for operand in operands if operand is not None]
    rows = Rows(name, shape, dims, present, present[0][1].scalar)
    parallel = math.prod(shape) >= PARALLEL_ELEMENTS
    rows.run(lambda: row(rows), parallel)
    writes = [*(rows.access(label) for label in written), *rows.stored]
    plan.call(rows.kernel, rows.accesses, writes=writes, parallel=parallel)


def _sums(
    rows: Rows, scalar: str, terms: Callable[[], Sequence[Expression]], number: int = 1
) -> list[Expression]:
    return rows.fold([(SUM, scalar)] * number, terms)


def _square(value: Expression) -> Expression:
    return value * value


def _normalise(
    rows: Rows, scalar: str, count: int, eps: float, weight: bool, bias: bool, whole_row: bool
) -> tuple[Expression, Expression, Expression]:
    """Writes the normalised x to out. Gives the mean, the variance and the factor 1 / deviation.

    Args:
        whole_row: whether weight and bias are the same along the row.
    """
    mean, rest, variance, scale = _moments(rows, scalar, count, eps)
    factor = rows.let(scale * rows.at("weight")) if weight and whole_row else scale
    shift = -rest * factor
    shift = rows.let(shift + rows.at("bias") if bias and whole_row else shift)

    def write() -> None:
        value = fma(rows.at("x") - mean, factor, shift)
        if weight and not whole_row:
            value = value * rows.at("weight")
        rows.put("out", value + rows.at("bias") if bias and not whole_row else value)

    rows.walk(write)
    return mean, variance, scale


def _moments(
    rows: Rows, scalar: str, count: int, eps: float
) -> tuple[Expression, Expression, Expression, Expression]:
    """The mean of x, what rounding left of it, the variance and the factor 1 / deviation.

    What is left of the mean matters where it is large against the deviation. It is the mean of x
    less the mean, in which nothing large is rounded any more.
    """
    (total,) = _sums(rows, scalar, lambda: [rows.at("x")])
    mean = rows.let(total / float(count))

    def moments() -> list[Expression]:
        gap = rows.let(rows.at("x") - mean)
        return [gap, gap * gap]

    gaps, squares = rows.fold([(SUM, scalar)] * 2, moments, wide=True)
    rest = rows.let(gaps / float(count))
    variance = rows.let(squares / float(count) - rest * rest)
    scale = rows.let(cast(1.0 / call("sqrt", variance + eps), scalar))
    return mean, rows.let(cast(rest, scalar)), rows.let(cast(variance, scalar)), scale


def _pull(
    rows: Rows, scalar: str, count: int, mean: Expression | None, scale: Expression, weight: bool
) -> None:
    """Writes the gradient of x to out, for weights that change along the row."""

    def terms() -> tuple[Expression, Expression]:
        pulled = rows.at("grad") * rows.at("weight") if weight else rows.at("grad")
        x = rows.at("x")
        return rows.let(pulled), (x if mean is None else x - mean) * scale

    def products() -> list[Expression]:
        pulled, normalised = terms()
        return [pulled, pulled * normalised][mean is None :]

    found = [
        rows.let(v / float(count)) for v in _sums(rows, scalar, products, 1 + (mean is not None))
    ]

    def write() -> None:
        pulled, normalised = terms()
        centred = pulled if mean is None else pulled - found[0]
        rows.put("out", (centred - normalised * found[-1]) * scale)

    rows.walk(write)


# -------------------------------------------------------------------- batches


def _channel(name: str, access: Access | None, ndim: int) -> Given | None:
    """A vector of channels over (batch, channels, *)."""
    if access is None:
        return None
    return name, access, (0, access.strides[0], *(0,) * (ndim - 2))


@lowers("batch_norm", "batch_norm_statistics")
def _batch_norm(plan: Any, node: Node) -> bool:
    if not _known(node):
        return False
    _, weight, bias, old_mean, old_variance, momentum = _reads(plan, node, 0)
    x = plan.operand(node.inputs[0], node, walks=3)
    ndim, scalar, eps = len(x.shape), x.scalar, node.parameters["eps"]
    if node.operator.name == "batch_norm":
        _, mean, variance, new_mean, new_variance = plan.results(node)
        written: list[Given] = [("out", plan.following(node, 0), None)]
    else:
        # the factor and the shift of each channel instead of what they make of it
        mean, variance, new_mean, new_variance, factor, shift = plan.results(node)
        steps = kept_strides(x.shape, (0, *range(2, ndim)))
        written = [("factor", factor, steps), ("shift", shift, steps)]
    count = x.count // x.shape[1]
    # running statistics that there are none of are not written
    running = [
        (name, old, new)
        for name, old, new in (
            ("mean", old_mean, new_mean),
            ("variance", old_variance, new_variance),
        )
        if old is not None
    ]

    def row(rows: Rows) -> None:
        if node.operator.name == "batch_norm":
            centre, spread, _ = _normalise(
                rows, scalar, count, eps, weight is not None, bias is not None, whole_row=True
            )
        else:
            centre, _, spread, scale = _moments(rows, scalar, count, eps)
            slope = scale if weight is None else rows.let(scale * rows.at("weight"))
            rows.put("factor", slope)
            moved = -centre * slope
            rows.put("shift", moved if bias is None else moved + rows.at("bias"))
        rows.put("mean", centre)
        rows.put("variance", spread)
        values = {"mean": centre, "variance": spread * (count / max(count - 1, 1))}
        for name, _, _ in running:
            share = rows.let(rows.at("momentum"))
            rows.put(f"new_{name}", (1.0 - share) * rows.at(f"old_{name}") + share * values[name])

    written += [_channel("mean", mean, ndim), _channel("variance", variance, ndim)]
    operands = [
        ("x", x, None),
        _channel("weight", weight, ndim),
        _channel("bias", bias, ndim),
        ("momentum", momentum, (0,) * ndim) if running and momentum is not None else None,
    ]
    for name, old, new in running:
        operands.append(_channel(f"old_{name}", old, ndim))
        written.append(_channel(f"new_{name}", new, ndim))
    labels = [label for label, _, _ in written]
    dims = (0, *range(2, ndim))
    _call(plan, node.operator.name, x.shape, dims, [*operands, *written], row, labels)
    return True


@lowers("batch_norm_gradient")
def _batch_norm_gradient(plan: Any, node: Node) -> bool:
    if not _known(node):
        return False
    _, x, weight, mean, variance = _reads(plan, node, 0)
    assert x is not None
    grad = plan.operand(node.inputs[0], node, walks=2)
    out, weight_gradient, bias_gradient = plan.results(node)
    # the gradient of the bias before normalisation
    added = plan.sum_following(node, (0, *range(2, len(x.shape))))
    ndim, scalar, eps = len(x.shape), x.scalar, node.parameters["eps"]
    dims = (0, *range(2, ndim))
    count = x.count // x.shape[1]

    def row(rows: Rows) -> None:
        centre = rows.let(rows.at("mean"))
        scale = rows.let(1.0 / call("sqrt", rows.at("variance") + eps))

        def terms() -> list[Expression]:
            pulled = rows.let(rows.at("grad"))
            return [pulled, pulled * (rows.at("x") - centre)]

        total, inner = _sums(rows, scalar, terms, 2)
        inner = rows.let(inner * scale)
        rows.put("bias_gradient", total)
        rows.put("weight_gradient", inner)
        mean_total = rows.let(total / float(count))
        slope = rows.let(inner / float(count) * scale)
        factor = scale if weight is None else rows.let(scale * rows.at("weight"))

        def write() -> list[Expression]:
            centred = rows.at("grad") - mean_total
            value = rows.let((centred - (rows.at("x") - centre) * slope) * factor)
            rows.put("out", value)
            return [value]

        if added is None:
            rows.walk(write)
        else:
            rows.put("sum", *_sums(rows, scalar, write))

    operands = [
        ("grad", grad, None),
        ("x", x, None),
        _channel("weight", weight, ndim),
        _channel("mean", mean, ndim),
        _channel("variance", variance, ndim),
        ("out", out, None),
        _channel("weight_gradient", weight_gradient, ndim),
        _channel("bias_gradient", bias_gradient, ndim),
    ]
    written = ["out", "weight_gradient", "bias_gradient"]
    if added is not None:
        operands.append(("sum", added, kept_strides(x.shape, dims)))
        written.append("sum")
    _call(plan, "batch_norm_gradient", x.shape, dims, operands, row, written)
    return True


@lowers("batch_norm_inference")
def _batch_norm_inference(plan: Any, node: Node) -> bool:
    if not _known(node):
        return False
    _, weight, bias, mean, variance = _reads(plan, node, 0)
    x = plan.operand(node.inputs[0], node)
    plan.result(node)
    out = plan.following(node)
    ndim, eps = len(x.shape), node.parameters["eps"]

    def row(rows: Rows) -> None:
        centre = rows.let(rows.at("mean"))
        scale = 1.0 / call("sqrt", rows.at("variance") + eps)
        factor = rows.let(scale if weight is None else scale * rows.at("weight"))

        def write() -> None:
            value = (rows.at("x") - centre) * factor
            rows.put("out", value if bias is None else value + rows.at("bias"))

        rows.walk(write)

    operands = [
        ("x", x, None),
        _channel("weight", weight, ndim),
        _channel("bias", bias, ndim),
        _channel("mean", mean, ndim),
        _channel("variance", variance, ndim),
        ("out", out, None),
    ]
    _call(plan, "batch_norm_inference", x.shape, (0, *range(2, ndim)), operands, row, ("out",))
    return True


# -------------------------------------------------------------------- last dimensions


def _last_dims(shape: Sequence[int], elements: int) -> tuple[int, ...]:
    """The last dimensions, which have so many elements together."""
    first = len(shape)
    while first and math.prod(shape[first:]) < elements:
        first -= 1
    return tuple(range(first, len(shape)))


def _along(name: str, access: Access | None, shape: Sequence[int], dims: Any) -> Given | None:
    """A vector of the elements of a row."""
    if access is None:
        return None
    inner = contiguous_strides(tuple(shape[dim] for dim in dims))
    return name, access, (*(0,) * (len(shape) - len(dims)), *inner)


def _contiguous(access: Access | None) -> bool:
    return access is None or tuple(access.strides) == tuple(contiguous_strides(access.shape))


@lowers("layer_norm")
def _layer_norm(plan: Any, node: Node) -> bool:
    _, weight, bias = _reads(plan, node, 0)
    if not (_known(node) and _contiguous(weight) and _contiguous(bias)):
        return False
    x = plan.operand(node.inputs[0], node, walks=3)
    _, mean, factor = plan.results(node)
    out = plan.following(node, 0)
    shape, elements = x.shape, node.parameters["elements"]
    dims = _last_dims(shape, elements)
    eps, scalar = node.parameters["eps"], x.scalar

    def row(rows: Rows) -> None:
        centre, _, scale = _normalise(
            rows, scalar, elements, eps, weight is not None, bias is not None, whole_row=False
        )
        rows.put("mean", centre)
        rows.put("scale", scale)

    operands = [
        ("x", x, None),
        _along("weight", weight, shape, dims),
        _along("bias", bias, shape, dims),
        ("out", out, None),
        ("mean", mean, kept_strides(shape, dims)),
        ("scale", factor, kept_strides(shape, dims)),
    ]
    _call(plan, "layer_norm", shape, dims, operands, row, ("out", "mean", "scale"))
    return True


@lowers("layer_norm_gradient")
def _layer_norm_gradient(plan: Any, node: Node) -> bool:
    _, x, weight, mean, factor = _reads(plan, node, 0)
    if not (_known(node) and _contiguous(weight) and _contiguous(mean) and _contiguous(factor)):
        return False
    assert x is not None and mean is not None and factor is not None
    out, weight_gradient, bias_gradient = plan.results(node)
    shape, elements, scalar = x.shape, node.parameters["elements"], x.scalar
    dims = _last_dims(shape, elements)
    by_row = kept_strides(shape, dims)
    common = [
        ("x", x, None),
        ("mean", mean, by_row),
        ("scale", factor, by_row),
    ]

    def row(rows: Rows) -> None:
        centre, scale = rows.let(rows.at("mean")), rows.let(rows.at("scale"))
        _pull(rows, scalar, elements, centre, scale, weight is not None)

    operands = [
        ("grad", plan.operand(node.inputs[0], node, walks=3), None),
        *common,
        _along("weight", weight, shape, dims),
        ("out", out, None),
    ]
    _call(plan, "layer_norm_gradient", shape, dims, operands, row, ("out",))

    def column(rows: Rows) -> None:
        def terms() -> list[Expression]:
            pulled = rows.let(rows.at("grad"))
            return [pulled * ((rows.at("x") - rows.at("mean")) * rows.at("scale")), pulled]

        found = _sums(rows, scalar, terms, 2)
        rows.put("weight_gradient", found[0])
        rows.put("bias_gradient", found[1])

    operands = [
        ("grad", plan.operand(node.inputs[0], node), None),
        *common,
        _along("weight_gradient", weight_gradient, shape, dims),
        _along("bias_gradient", bias_gradient, shape, dims),
    ]
    others = tuple(range(len(shape) - len(dims)))
    written = ("weight_gradient", "bias_gradient")
    _call(plan, "layer_norm_weight_gradient", shape, others, operands, column, written)
    return True


@lowers("rms_norm")
def _rms_norm(plan: Any, node: Node) -> bool:
    _, weight = _reads(plan, node, 0)
    if not (_known(node) and _contiguous(weight)):
        return False
    x = plan.operand(node.inputs[0], node, walks=2)
    plan.result(node)
    out = plan.following(node)
    shape, elements, eps = x.shape, node.parameters["elements"], node.parameters["eps"]
    dims = _last_dims(shape, elements)

    def row(rows: Rows) -> None:
        scale = _inverse_root(rows, x.scalar, elements, eps)

        def write() -> None:
            value = rows.at("x") * scale
            rows.put("out", value if weight is None else value * rows.at("weight"))

        rows.walk(write)

    operands = [
        ("x", x, None),
        _along("weight", weight, shape, dims),
        ("out", out, None),
    ]
    _call(plan, "rms_norm", shape, dims, operands, row, ("out",))
    return True


def _inverse_root(rows: Rows, scalar: str, elements: int, eps: float) -> Expression:
    """1 / sqrt(mean(x²) + eps)."""
    (squares,) = _sums(rows, scalar, lambda: [_square(rows.let(rows.at("x")))])
    return rows.let(1.0 / call("sqrt", squares / float(elements) + eps))


@lowers("rms_norm_gradient")
def _rms_norm_gradient(plan: Any, node: Node) -> bool:
    _, x, weight = _reads(plan, node, 0)
    if not (_known(node) and _contiguous(weight)):
        return False
    assert x is not None
    out, weight_gradient = plan.results(node)
    shape, elements, eps = x.shape, node.parameters["elements"], node.parameters["eps"]
    dims = _last_dims(shape, elements)
    by_row = kept_strides(shape, dims)
    scales = plan.scratch(x.count // elements, x.dtype)
    common = [
        ("x", x, None),
        ("scale", scales, by_row),
    ]

    def row(rows: Rows) -> None:
        scale = _inverse_root(rows, x.scalar, elements, eps)
        rows.put("scale", scale)
        _pull(rows, x.scalar, elements, None, scale, weight is not None)

    operands = [
        ("grad", plan.operand(node.inputs[0], node, walks=3), None),
        *common,
        _along("weight", weight, shape, dims),
        ("out", out, None),
    ]
    _call(plan, "rms_norm_gradient", shape, dims, operands, row, ("out", "scale"))

    def column(rows: Rows) -> None:
        (found,) = _sums(
            rows, x.scalar, lambda: [rows.at("grad") * (rows.at("x") * rows.at("scale"))]
        )
        rows.put("weight_gradient", found)

    operands = [
        ("grad", plan.operand(node.inputs[0], node), None),
        *common,
        _along("weight_gradient", weight_gradient, shape, dims),
    ]
    others = tuple(range(len(shape) - len(dims)))
    _call(plan, "rms_norm_weight_gradient", shape, others, operands, column, ("weight_gradient",))
    return True


# -------------------------------------------------------------------- groups


def _grouped(access: Access, groups: int) -> Access:
    """(batch, channels, *) as (batch, groups, channels of a group, *)."""
    batch, channels, *rest = access.shape
    inner = channels // groups
    return replace(
        access,
        shape=(batch, groups, inner, *rest),
        strides=(access.strides[0], access.strides[1] * inner, *access.strides[1:]),
    )


def _group_channel(name: str, access: Access | None, shape: Sequence[int]) -> Given | None:
    """A vector of channels over (batch, groups, channels of a group, *)."""
    if access is None:
        return None
    step = access.strides[0]
    return name, access, (0, step * shape[2], step, *(0,) * (len(shape) - 3))


@lowers("group_norm")
def _group_norm(plan: Any, node: Node) -> bool:
    if not _known(node):
        return False
    _, weight, bias = _reads(plan, node, 0)
    groups, eps = node.parameters["groups"], node.parameters["eps"]
    x = plan.operand(node.inputs[0], node, walks=3).seen(lambda access: _grouped(access, groups))
    _, mean, factor = plan.results(node)
    result = plan.following(node, 0)
    if isinstance(result, Result):
        out: Access | Result = result.seen(lambda access: _grouped(access, groups))
    else:
        out = _grouped(result, groups)
    shape, scalar = x.shape, x.scalar
    count = math.prod(shape[2:])

    def row(rows: Rows) -> None:
        centre, _, scale = _normalise(
            rows, scalar, count, eps, weight is not None, bias is not None, whole_row=False
        )
        rows.put("mean", centre)
        rows.put("scale", scale)

    dims = tuple(range(2, len(shape)))
    operands = [
        ("x", x, None),
        _group_channel("weight", weight, shape),
        _group_channel("bias", bias, shape),
        ("out", out, None),
        ("mean", mean, kept_strides(shape, dims)),
        ("scale", factor, kept_strides(shape, dims)),
    ]
    _call(plan, "group_norm", shape, dims, operands, row, ("out", "mean", "scale"))
    return True


@lowers("group_norm_gradient")
def _group_norm_gradient(plan: Any, node: Node) -> bool:
    _, source, weight, mean, factor = _reads(plan, node, 0)
    if not (_known(node) and _contiguous(mean) and _contiguous(factor)):
        return False
    assert source is not None and mean is not None and factor is not None
    result, weight_gradient, bias_gradient = plan.results(node)
    groups = node.parameters["groups"]
    x, out = _grouped(source, groups), _grouped(result, groups)
    shape, scalar = x.shape, x.scalar
    dims = tuple(range(2, len(shape)))
    count = math.prod(shape[2:])
    by_row = kept_strides(shape, dims)
    common = [
        ("x", x, None),
        ("mean", mean, by_row),
        ("scale", factor, by_row),
    ]

    def row(rows: Rows) -> None:
        centre, scale = rows.let(rows.at("mean")), rows.let(rows.at("scale"))
        _pull(rows, scalar, count, centre, scale, weight is not None)

    grad = plan.operand(node.inputs[0], node, walks=3).seen(lambda access: _grouped(access, groups))
    operands = [
        ("grad", grad, None),
        *common,
        _group_channel("weight", weight, shape),
        ("out", out, None),
    ]
    _call(plan, "group_norm_gradient", shape, dims, operands, row, ("out",))

    def channel(rows: Rows) -> None:
        def terms() -> list[Expression]:
            pulled = rows.let(rows.at("grad"))
            return [pulled * ((rows.at("x") - rows.at("mean")) * rows.at("scale")), pulled]

        found = _sums(rows, scalar, terms, 2)
        rows.put("weight_gradient", found[0])
        rows.put("bias_gradient", found[1])

    grad = plan.operand(node.inputs[0], node).seen(lambda access: _grouped(access, groups))
    operands = [
        ("grad", grad, None),
        *common,
        _group_channel("weight_gradient", weight_gradient, shape),
        _group_channel("bias_gradient", bias_gradient, shape),
    ]
    written = ("weight_gradient", "bias_gradient")
    channels_of = (0, *range(3, len(shape)))
    _call(plan, "group_norm_weight_gradient", shape, channels_of, operands, channel, written)
    return True
