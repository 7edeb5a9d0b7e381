"""Cross-entropy of classes and its gradient from the same powers: log-softmax and negative log
likelihood, forward and backward, in one walk over the rows.
"""

from __future__ import annotations

from typing import Any

from fakel.compiler.graph import Value
from fakel.compiler.kernels.reductions.loss import out_of_bounds
from fakel.compiler.kernels.reductions.rows import LARGEST, SUM, Rows
from fakel.compiler.kernels.status import status_of
from fakel.compiler.loop_ir import math as functions
from fakel.compiler.loop_ir import target
from fakel.compiler.loop_ir.builder import Builder
from fakel.compiler.loop_ir.language import (
    INDEX,
    Expression,
    Type,
    binary,
    call,
    cast,
    literal,
    select,
)
from fakel.compiler.planning.lowering import Access

# kernels over fewer elements stay on one thread
PARALLEL_ELEMENTS = 8192


def cross_entropy(
    plan: Any,
    logits: Value,
    target: Value,
    loss: Value,
    upstream: Value | None = None,
    gradient: Value | None = None,
) -> bool:
    """Lowers ``nll_loss(log_softmax(logits), target)`` and, where wanted, the gradient of it with
    respect to the logits.

    Args:
        plan: the plan.
        logits: (rows, classes).
        target: (rows).
        loss: the value "nll_loss"; its results are placed.
        upstream: the gradient of the loss, one number.
        gradient: the value whose result is the gradient, of the logits' shape.

    Returns:
        False, with nothing added, for other dtypes, classes that do not lie side by side, and
        losses that are not reduced.
    """
    x, chosen = plan.read(logits), plan.read(target)
    reduction = loss.parameters["reduction"]
    if x.dtype.name != "float32" or chosen.dtype.name != "int64" or reduction == "none":
        return False
    if not x.count or x.strides[1] != 1 or x.shape[1] == 1:
        return False
    parallel = x.count >= PARALLEL_ELEMENTS
    made, total = plan.results(loss)
    count = x.shape[0]
    losses = plan.scratch(count, x.dtype) if parallel else made
    # a row has one target and, with threads, one loss; everything has one sum of losses
    operands = [("x", x, x.strides), ("target", chosen, (chosen.strides[0], 0))]
    operands.append(("loss", losses, (1 if parallel else 0, 0)))
    if not parallel:
        operands.append(("total", total, (0, 0)))
    if gradient is not None:
        given, out = plan.read(upstream), plan.result(gradient)
        operands += [("upstream", given, (0, 0)), ("gradient", out, out.strides)]
    rows = Rows("cross_entropy", x.shape, (1,), operands, x.scalar, 2)
    kernel = _Kernel(rows, loss.parameters["ignore_index"], reduction, gradient is not None)
    kernel.write(parallel)
    written = [access for name, access, _ in operands if name in ("loss", "total", "gradient")]
    plan.call(
        rows.kernel,
        rows.accesses,
        written,
        parallel,
        errors=out_of_bounds,
        indices=[(chosen, x.shape[1])],
    )
    if parallel:
        arguments = [losses, chosen, made, total]
        add_up = _sum_of_losses(arguments, loss.parameters["ignore_index"], reduction)
        plan.call(add_up, arguments, [made, total], parallel=False)
    return True


class _Kernel:
    """The walk over the rows."""

    def __init__(self, rows: Rows, ignored: int, reduction: str, backward: bool) -> None:
        self.rows, self.build = rows, rows.build
        self.ignored, self.reduction, self.backward = ignored, reduction, backward

    def write(self, parallel: bool) -> None:
        rows, build = self.rows, self.build
        given = rows.access("target")
        counted: Expression = literal(1.0, "f32")
        if not parallel or (self.backward and self.reduction == "mean"):
            counted = _count(
                build, rows.buffer("target"), given.shape[0], given.strides[0], self.ignored
            )
        scale: Expression = literal(0.0, "f32")
        if self.backward:
            scale = build.load(rows.buffer("upstream"), 0)
            scale = build.let(scale / counted if self.reduction == "mean" else scale)
        if parallel:
            rows.run(lambda: self._put_loss(scale), True)
        else:
            added = self._added_losses(scale, given.shape[0])
            results = rows.buffer("loss"), rows.buffer("total")
            _finish(build, *results, added, counted, self.reduction)

    def _put_loss(self, scale: Expression) -> None:
        total, picked = self._row(scale)
        self.rows.put("loss", functions.log(total) - picked)

    def _added_losses(self, scale: Expression, count: int) -> Expression:
        """The rows, and then all their logarithms, in vectors."""
        build, lanes = self.build, target.lanes("f32")
        whole = -(-count // lanes) * lanes
        totals, parts = (build.local(name, "f32", whole) for name in ("totals", "picked"))
        for number in range(count, whole):
            build.store(totals, number, 1.0)
            build.store(parts, number, 0.0)
        number = build.accumulator(0, INDEX, "number")

        def note() -> None:
            total, picked = self._row(scale)
            build.store(totals, number, total)
            build.store(parts, number, picked)
            build.assign(number, number + 1)

        self.rows.run(note, False)
        added = build.accumulator(0, Type("f64", lanes), "losses")
        with build.loop(whole, step=lanes, name="row") as first:
            loss = functions.log(build.let(build.load(totals, first, lanes)))
            build.assign(added, added + cast(loss - build.load(parts, first, lanes), "f64"))
        return build.let(call("reduce_add", added, type=Type("f64")))

    def _row(self, scale: Expression) -> tuple[Expression, Expression]:
        """The row's loss is the logarithm of the first number less the second one."""
        rows, build = self.rows, self.build
        given = build.let(rows.at("target"))
        counts = build.let(binary("!=", given, self.ignored))
        chosen = build.let(select(counts, given, 0))
        classes = rows.access("x").shape[1]
        with build.when(binary("|", binary("<", chosen, 0), binary(">=", chosen, classes))):
            build.fail(status_of(chosen))
        (highest,) = rows.fold([(LARGEST, "f32")], lambda: [rows.at("x")])

        def power() -> list[Expression]:
            value = rows.let(functions.exp(rows.let(rows.at("x") - highest)))
            if self.backward:
                rows.put("gradient", value)
            return [value]

        (total,) = rows.fold([(SUM, "f32")], power)
        picked = build.load(rows.buffer("x"), rows.start("x") + chosen) - highest
        if self.backward:
            own = build.let(select(counts, scale, 0.0))
            factor = build.let(own / total)
            rows.walk(lambda: rows.put("gradient", rows.at("gradient") * factor))
            buffer, place = rows.buffer("gradient"), rows.start("gradient") + chosen
            build.store(buffer, place, build.load(buffer, place) - own)
        return build.let(select(counts, total, 1.0)), build.let(select(counts, picked, 0.0))


def _count(build: Builder, target: Any, rows: int, stride: int, ignored: int) -> Expression:
    """The targets that count."""
    found = build.accumulator(0, INDEX, "counted")
    with build.loop(rows) as row:
        counts = binary("!=", build.load(target, row * stride), ignored)
        build.assign(found, found + select(counts, literal(1, INDEX), 0))
    return build.let(cast(found, "f32"))


def _finish(
    build: Builder, loss: Any, total: Any, added: Expression, counted: Expression, reduction: str
) -> None:
    build.store(total, 0, counted)
    if reduction == "mean":
        added = added / cast(counted, "f64")
    build.store(loss, 0, cast(added, "f32"))


def _sum_of_losses(arguments: list[Access], ignored: int, reduction: str) -> Any:
    """losses of rows, targets, loss, total."""
    losses, target = arguments[:2]
    build = Builder("sum_of_losses")
    each, chosen = build.buffer("losses", "f32"), build.buffer("target", target.scalar)
    loss, total = build.buffer("loss", "f32"), build.buffer("total", "f32")
    counted = _count(build, chosen, target.shape[0], target.strides[0], ignored)
    added = build.accumulator(0, "f64", "sum")
    with build.loop(losses.count) as row:
        build.assign(added, added + cast(build.load(each, row), "f64"))
    _finish(build, loss, total, added, counted, reduction)
    return build.kernel
