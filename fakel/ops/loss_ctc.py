"""Connectionist temporal classification (Graves et al., 2006): a loss over alignments."""

from __future__ import annotations

import numpy as np

from fakel.ops.checks import HALF, NOT_FLOATING, refuse
from fakel.ops.declare import gradient, operator, primitive
from fakel.ops.loss import _check_reduction
from fakel.tensor import Tensor, dtypes


def _log_sum(*terms):
    """`log Σ exp` of arrays, where all may be minus infinity."""
    most = np.maximum.reduce(terms)
    safe = np.where(np.isneginf(most), 0, most)
    return np.log(sum(np.exp(term - safe) for term in terms)) + safe


def _states(targets, target_lengths, blank):
    """The labels with blanks between them, (batch, 2 · longest + 1), and which may skip a blank."""
    batch = len(target_lengths)
    longest = int(target_lengths.max(initial=0))
    rows = np.full((batch, longest), blank, np.int64)
    if targets.ndim == 1:
        inside = np.arange(longest) < target_lengths[:, None]
        rows[inside] = targets[: int(target_lengths.sum())]
    else:
        inside = np.arange(longest) < target_lengths[:, None]
        rows[inside] = targets[:, :longest][inside]
    labels = np.full((batch, 2 * longest + 1), blank, np.int64)
    labels[:, 1::2] = rows
    skips = np.zeros(labels.shape, bool)
    skips[:, 2:] = (labels[:, 2:] != blank) & (labels[:, 2:] != labels[:, :-2])
    return labels, skips


def _forward_variables(scores, skips):
    """alpha of Graves' equations 6-7: (time, batch, states), for scores of the states."""
    alpha = np.full(scores.shape, -np.inf, scores.dtype)
    alpha[0, :, :2] = scores[0, :, :2]
    for step in range(1, len(scores)):
        stay = alpha[step - 1]
        one, two = np.full_like(stay, -np.inf), np.full_like(stay, -np.inf)
        one[:, 1:] = stay[:, :-1]
        two[:, 2:] = np.where(skips[:, 2:], stay[:, :-2], -np.inf)
        alpha[step] = _log_sum(stay, one, two) + scores[step]
    return alpha


def _backward_variables(scores, skips, input_lengths, target_lengths):
    """beta of Graves' equations 9-10, including each state's own score."""
    beta = np.full(scores.shape, -np.inf, scores.dtype)
    batch = np.arange(scores.shape[1])
    last = 2 * target_lengths
    after = np.full(scores.shape[1:], -np.inf, scores.dtype)
    for step in range(len(scores) - 1, -1, -1):
        one, two = np.full_like(after, -np.inf), np.full_like(after, -np.inf)
        one[:, :-1] = after[:, 1:]
        two[:, :-2] = np.where(skips[:, 2:], after[:, 2:], -np.inf)
        now = _log_sum(after, one, two) + scores[step]
        ends = step == input_lengths - 1
        start = np.full_like(after, -np.inf)
        start[batch, last] = scores[step, batch, last]
        inner = target_lengths > 0
        start[batch[inner], last[inner] - 1] = scores[step, batch[inner], last[inner] - 1]
        after = np.where(ends[:, None], start, now)
        beta[step] = after
    return beta


def _scores(log_probs, labels):
    """The log probability of each state's label at each step."""
    wide = np.broadcast_to(labels, (len(log_probs), *labels.shape))
    return np.take_along_axis(log_probs, wide, 2)


def _negative_log_likelihood(alpha, input_lengths, target_lengths):
    batch = np.arange(alpha.shape[1])
    last = 2 * target_lengths
    step = np.maximum(input_lengths - 1, 0)
    ending = alpha[step, batch, last]
    before = np.where(target_lengths > 0, alpha[step, batch, np.maximum(last - 1, 0)], -np.inf)
    result = -_log_sum(ending, before)
    # no steps: only the empty target has a chance
    return np.where(input_lengths > 0, result, np.where(target_lengths > 0, np.inf, 0))


@primitive("ctc_loss")
def _ctc_loss(log_probs, targets, input_lengths, target_lengths, *, blank):
    labels, skips = _states(targets, target_lengths, blank)
    alpha = _forward_variables(_scores(log_probs, labels), skips)
    return _negative_log_likelihood(alpha, input_lengths, target_lengths)


@primitive("ctc_loss_gradient")
def _ctc_loss_gradient(
    output_gradient, log_probs, targets, input_lengths, target_lengths, *, blank, zero_infinity
):
    labels, skips = _states(targets, target_lengths, blank)
    scores = _scores(log_probs, labels)
    alpha = _forward_variables(scores, skips)
    beta = _backward_variables(scores, skips, input_lengths, target_lengths)
    losses = _negative_log_likelihood(alpha, input_lengths, target_lengths)
    paths = alpha + beta
    most = paths.max(2, keepdims=True)
    safe = np.where(np.isneginf(most), 0, most)
    totals = np.zeros(log_probs.shape, log_probs.dtype)
    steps, batch = np.ogrid[: len(scores), : scores.shape[1]]
    np.add.at(totals, (steps[..., None], batch[..., None], labels[None]), np.exp(paths - safe))
    by_label = np.log(totals) + safe
    result = np.exp(log_probs) - np.exp(by_label + losses[:, None] - log_probs)
    result = result * output_gradient[:, None]
    if zero_infinity:
        result = np.where(np.isinf(losses)[:, None], 0, result)
    return np.where((steps < input_lengths)[..., None], result, 0)


gradient(
    _ctc_loss,
    log_probs=lambda grad, log_probs, targets, input_lengths, target_lengths, blank: (
        _ctc_loss_gradient(
            grad, log_probs, targets, input_lengths, target_lengths, blank=blank,
            zero_infinity=False, shape=tuple(log_probs.shape), dtype=log_probs.dtype)
    ),
)  # fmt: skip


@primitive("ctc_loss_zero_infinity", backward_name="CtcLossBackward0")
def _ctc_loss_zero_infinity(log_probs, targets, input_lengths, target_lengths, *, blank):
    labels, skips = _states(targets, target_lengths, blank)
    alpha = _forward_variables(_scores(log_probs, labels), skips)
    losses = _negative_log_likelihood(alpha, input_lengths, target_lengths)
    return np.where(np.isinf(losses), 0, losses)


gradient(
    _ctc_loss_zero_infinity,
    log_probs=lambda grad, log_probs, targets, input_lengths, target_lengths, blank: (
        _ctc_loss_gradient(
            grad, log_probs, targets, input_lengths, target_lengths, blank=blank,
            zero_infinity=True, shape=tuple(log_probs.shape), dtype=log_probs.dtype)
    ),
)  # fmt: skip


def _lengths(value, name, batch, most, largest_name):
    values = value if isinstance(value, Tensor) else Tensor._from_array(np.array(value, np.int64))
    values = values.to(dtypes.int64).reshape(-1)
    if values.shape[0] != batch:
        raise RuntimeError(f"{name} must be of size batch_size")
    found = values._values()
    if found.size and found.max() > most:
        raise RuntimeError(largest_name.format(found.max()))
    if found.size and found.min() < 0:
        raise RuntimeError(
            f"Expected {name} to have value at least 0, but got value {found.min()} (while "
            "checking arguments for ctc_loss_allocate_outputs)"
        )
    return values


@operator(method=False, out=False, namespace="nn.functional")
def ctc_loss(
    log_probs, targets, input_lengths, target_lengths, blank=0, reduction="mean",
    zero_infinity=False,
):  # fmt: skip
    """The negative log probability of the target sequences, summed over all alignments.

    Args:
        log_probs: (time, batch, classes) or (time, classes), the outputs of `log_softmax`.
        targets: (batch, longest), or all targets after one another in one dimension.
        input_lengths, target_lengths: (batch), tensors or sequences of integers.
        blank: the class that separates labels.
        reduction: "none", "sum", or "mean", which divides each loss by its target's length first.
        zero_infinity: targets that do not fit their input give 0 instead of infinity.
    """
    _check_reduction(reduction)
    refuse("ctc_loss_cpu", log_probs.dtype, *NOT_FLOATING, HALF)
    batched = log_probs.ndim == 3
    if not batched:
        log_probs = log_probs.unsqueeze(1)
        targets = targets.unsqueeze(0) if targets.ndim == 1 else targets
    steps, batch, classes = log_probs.shape
    if not 0 <= blank < classes:
        raise RuntimeError("blank must be in label range")
    tail = "(while checking arguments for ctc_loss_allocate_outputs)"
    inputs = _lengths(
        input_lengths, "input_lengths", batch, steps,
        f"Expected input_lengths to have value at most {steps}, but got value {{}} {tail}",
    )  # fmt: skip
    most = targets.shape[-1]
    wanted = _lengths(
        target_lengths, "target_lengths", batch, most,
        f"Expected tensor to have size at least {{}} at dimension 1, but got size {most} for "
        f"argument #2 'targets' {tail}",
    )  # fmt: skip
    total = int(wanted._values().sum())
    if targets.ndim == 1 and total != most:
        raise RuntimeError(
            f"Expected tensor to have size {total} at dimension 0, but got size {most} for "
            f"argument #2 'targets' {tail}"
        )
    node = _ctc_loss_zero_infinity if zero_infinity else _ctc_loss
    loss = node(
        log_probs, targets.to(dtypes.int64), inputs, wanted, blank=int(blank), shape=(batch,)
    )
    if reduction == "mean":
        return (loss / wanted.clamp(min=1).to(loss.dtype)).mean()
    if reduction == "sum":
        return loss.sum()
    return loss if batched else loss.squeeze(0)
