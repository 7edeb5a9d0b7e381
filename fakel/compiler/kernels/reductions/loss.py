"""Negative log likelihood of classes, and its gradient. Targets are checked."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from fakel.compiler.kernels.status import number_of, status_of
from fakel.compiler.loop_ir.builder import Builder
from fakel.compiler.loop_ir.language import Expression, binary, cast, literal, select
from fakel.compiler.loop_ir.nests import broadcast_strides, loops, offset
from fakel.compiler.planning.lowering import Access, lowers
from fakel.graph import Node
from fakel.tensor.size import contiguous_strides

PARALLEL_ELEMENTS = 65536


def out_of_bounds(status: int) -> Exception:
    """The error of a wrong target, which the status tells."""
    return IndexError(f"Target {number_of(status)} is out of bounds.")


class _Targets:
    """The targets, whose strides go over batch and positions, checked one by one."""

    def __init__(
        self, build: Builder, access: Access, weight: Access | None, classes: int, ignored: int
    ) -> None:
        self.build = build
        self.access = access
        self.weight = weight
        self.classes = classes
        self.ignored = ignored
        self.buffer = build.buffer("target", access.scalar)
        self.weights = None if weight is None else build.buffer("weight", weight.scalar)

    @property
    def accesses(self) -> list[Access]:
        """The arguments that this puts first."""
        return [self.access] if self.weight is None else [self.access, self.weight]

    def target(self, *place: Any) -> tuple[Expression, Expression]:
        """A target's class (0 when it is ignored), and whether it counts."""
        build = self.build
        given = build.let(build.load(self.buffer, offset(place, self.access.strides)))
        counts = build.let(binary("!=", given, self.ignored))
        chosen = build.let(select(counts, given, 0))
        wrong = binary("|", binary("<", chosen, 0), binary(">=", chosen, self.classes))
        with build.when(wrong):
            build.fail(status_of(chosen))
        return chosen, counts

    def weight_of(self, chosen: Expression, scalar: str) -> Expression:
        """The class's weight."""
        if self.weights is None or self.weight is None:
            return literal(1, scalar)
        return self.build.load(self.weights, chosen * self.weight.strides[0])


def _batched(classes: Access, target: Access) -> tuple[Access, Access]:
    """Accesses to (batch, classes, *) and (batch, *), where there need be no batch."""
    if len(classes.shape) > 1:
        return classes, target
    return (
        replace(classes, shape=(1, *classes.shape), strides=(0, *classes.strides)),
        replace(target, shape=(1,), strides=(0,)),
    )


def _floating(*accesses: Access | None) -> bool:
    kinds = [access.dtype.name for access in accesses if access is not None]
    return all(kind in ("float32", "float64") and kind == kinds[0] for kind in kinds)


@lowers("nll_loss")
def _nll_loss(plan: Any, node: Node) -> bool:
    source, target, weight = (None if n is None else plan.read(n) for n in node.inputs)
    if not _floating(source, weight) or target.dtype.name != "int64":
        return False
    loss, total = plan.results(node)
    source, target = _batched(source, target)
    reduction = node.parameters["reduction"]
    build = Builder(f"nll_loss_{reduction}")
    targets = _Targets(build, target, weight, source.shape[1], node.parameters["ignore_index"])
    x = build.buffer("x", source.scalar)
    losses, sums = build.buffer("loss", loss.scalar), build.buffer("total", total.scalar)
    added = build.accumulator(0, "f64", "losses")
    weights = build.accumulator(0, "f64", "weights")
    with (
        build.loop(target.shape[0]) as row,
        loops(build, target.shape[1:], name="position") as position,
    ):
        chosen, counts = targets.target(row, *position)
        given = build.load(x, offset((row, chosen, *position), source.strides))
        own = build.let(select(counts, targets.weight_of(chosen, source.scalar), 0))
        value = build.let((0.0 - select(counts, given, 0)) * own)
        build.assign(weights, weights + cast(own, "f64"))
        if reduction == "none":
            build.store(losses, offset((row, *position), contiguous_strides(target.shape)), value)
        else:
            build.assign(added, added + cast(value, "f64"))
    sum_of_weights = build.let(cast(weights, source.scalar))
    build.store(sums, 0, sum_of_weights)
    if reduction == "mean":
        build.store(losses, 0, cast(added / cast(sum_of_weights, "f64"), loss.scalar))
    elif reduction == "sum":
        build.store(losses, 0, cast(added, loss.scalar))
    arguments = [*targets.accesses, source, loss, total]
    plan.call(
        build.kernel, arguments, writes=[loss, total], parallel=False, errors=out_of_bounds,
        indices=[(target, source.shape[1])],
    )  # fmt: skip
    return True


@lowers("nll_loss_gradient")
def _nll_loss_gradient(plan: Any, node: Node) -> bool:
    grad, target, weight, total = (None if n is None else plan.read(n) for n in node.inputs)
    if not _floating(grad, weight, total) or target.dtype.name != "int64" or 0 in node.shape:
        return False
    out, target = _batched(plan.result(node), target)
    batch, classes, *spatial = out.shape
    reduction = node.parameters["reduction"]
    build = Builder(f"nll_loss_gradient_{reduction}")
    targets = _Targets(build, target, weight, classes, node.parameters["ignore_index"])
    upstream, sums = build.buffer("grad", grad.scalar), build.buffer("total", total.scalar)
    result = build.buffer("out", out.scalar)
    steps = broadcast_strides(grad.shape, grad.strides, target.shape)
    parallel = out.count >= PARALLEL_ELEMENTS
    size = classes * math.prod(spatial)
    with build.share(batch) if parallel else build.loop(batch) as row:
        with build.loop(size) as place:
            build.store(result, row * size + place, 0)
        with loops(build, spatial, name="position") as position:
            chosen, counts = targets.target(row, *position)
            value = build.load(upstream, offset((row, *position), steps))
            if reduction == "mean":
                value = value / build.load(sums, 0)
            value = (0.0 - value) * targets.weight_of(chosen, out.scalar)
            place = row * size + offset((chosen, *position), contiguous_strides(out.shape)[1:])
            build.store(result, place, select(counts, value, 0))
    arguments = [*targets.accesses, grad, total, out]
    plan.call(
        build.kernel, arguments, writes=[out], parallel=parallel, errors=out_of_bounds,
        indices=[(target, classes)],
    )  # fmt: skip
    return True
