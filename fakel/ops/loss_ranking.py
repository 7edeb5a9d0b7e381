"""Losses that compare: margins between scores, similarities of pairs and triplets."""

from __future__ import annotations

import numpy as np

from fakel import ops
from fakel.ops.activation import logsigmoid
from fakel.ops.checks import HALF, NOT_FLOATING, refuse
from fakel.ops.declare import broadcast_shapes, operator
from fakel.ops.loss import _check_reduction, legacy_reduction, reduced
from fakel.tensor import Tensor, dtypes, promote_types

SMALLEST_NORM = 1e-12


@operator(method=False, out=False)
def cosine_similarity(x1, x2, dim=1, eps=1e-8):
    """`x1 · x2 / max(‖x1‖ · ‖x2‖, eps)` over a dimension; each norm is at least eps."""
    shape = broadcast_shapes(x1.shape, x2.shape)
    kind = promote_types(x1.dtype, x2.dtype)
    if not kind.is_floating_point:
        raise RuntimeError(
            f"expected common dtype to be floating point, yet common dtype is {kind.letter}"
        )
    first, second = (x.to(kind).expand(shape) for x in (x1, x2))
    lengths = [ops.norm(x, 2, dim, keepdim=True) for x in (first, second)]
    first, second = (
        x / (length.clamp_min(eps).detach() - length.detach() + length)
        for x, length in zip((first, second), lengths, strict=True)
    )
    return (first * second).sum(dim)


@operator(method=False, out=False, backward_name="NormBackward1")
def pairwise_distance(x1, x2, p=2.0, eps=1e-6, keepdim=False):
    """`‖x1 - x2 + eps‖ₚ` over the last dimension."""
    return ops.norm(x1 - x2 + eps, p, -1, keepdim=keepdim)


@operator(method=False, out=False, backward_name="PdistBackward0")
def pdist(input, p=2.0):
    """`‖xᵢ - xⱼ‖ₚ` of all pairs of rows i < j, in one dimension."""
    if input.ndim != 2:
        raise RuntimeError(f"pdist only supports 2D tensors, got: {input.ndim}D")
    if not input.is_floating_point():
        raise RuntimeError("pdist only supports floating-point dtypes")
    if p < 0:
        raise RuntimeError("pdist only supports non-negative p values")
    first, second = (Tensor._from_array(indices) for indices in np.triu_indices(input.shape[0], 1))
    return ops.norm(input[first] - input[second], p, -1)


@operator(method=False, out=False, namespace="nn.functional")
def margin_ranking_loss(
    input1, input2, target, margin=0, size_average=None, reduce=None, reduction="mean"
):
    """`max(0, -t · (x1 - x2) + margin)`: the first is to rank higher where the target is 1."""
    reduction = legacy_reduction(size_average, reduce, reduction)
    _check_reduction(reduction)
    if not input1.ndim == input2.ndim == target.ndim:
        raise RuntimeError(
            "margin_ranking_loss : All input tensors should have same dimension but got sizes: "
            f"input1: {input1.shape}, input2: {input2.shape}, target: {target.shape} "
        )
    return reduced((-target * (input1 - input2) + margin).clamp_min(0), reduction)


@operator(method=False, out=False, namespace="nn.functional")
def cosine_embedding_loss(
    input1, input2, target, margin=0, size_average=None, reduce=None, reduction="mean"
):
    """`1 - cos(x1, x2)` where the target is 1, `max(0, cos(x1, x2) - margin)` where it is -1."""
    reduction = legacy_reduction(size_average, reduce, reduction)
    _check_reduction(reduction)
    if not (
        (input1.ndim == 2 and input2.ndim == 2 and target.ndim == 1)
        or (input1.ndim == 1 and input2.ndim == 1 and target.ndim == 0)
    ):
        raise RuntimeError(
            f"{target.ndim}D target tensor expects {target.ndim + 1}D input tensors, but found "
            f"inputs with sizes {list(input1.shape)} and {list(input2.shape)}."
        )
    dim = target.ndim
    squares = [(x * x).sum(dim) + SMALLEST_NORM for x in (input1, input2)]
    cosine = (input1 * input2).sum(dim) / (squares[0] * squares[1]).sqrt()
    zero = ops.zeros((), dtype=cosine.dtype)
    together = ops.where(target == 1, 1 - cosine, zero)
    return reduced(
        together + ops.where(target == -1, (cosine - margin).clamp_min(0), zero), reduction
    )


def _check_triplet(anchor, positive, negative, margin):
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    if not anchor.ndim == positive.ndim == negative.ndim:
        raise RuntimeError(
            "The anchor, positive, and negative tensors are expected to have the same number of "
            f"dimensions, but got: anchor {anchor.ndim}D, positive {positive.ndim}D, and negative "
            f"{negative.ndim}D inputs"
        )


def _triplet(distance, anchor, positive, negative, margin, swap, reduction):
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = ops.minimum(far, distance(positive, negative))
    return reduced((margin + near - far).clamp_min(0), reduction)


@operator(method=False, out=False, namespace="nn.functional")
def triplet_margin_loss(
    anchor, positive, negative, margin=1.0, p=2, eps=1e-6, swap=False, size_average=None,
    reduce=None, reduction="mean",
):  # fmt: skip
    """`max(0, d(anchor, positive) - d(anchor, negative) + margin)` with p-norm distances.

    `swap` uses the distance of positive and negative where it is shorter (Balntas et al., 2016).
    """
    reduction = legacy_reduction(size_average, reduce, reduction)
    _check_reduction(reduction)
    _check_triplet(anchor, positive, negative, margin)
    return _triplet(
        lambda first, second: pairwise_distance(first, second, p, eps),
        anchor, positive, negative, margin, swap, reduction,
    )  # fmt: skip


@operator(method=False, out=False, namespace="nn.functional")
def triplet_margin_with_distance_loss(
    anchor, positive, negative, *, distance_function=None, margin=1.0, swap=False, reduction="mean"
):
    """`triplet_margin_loss` with any distance function of two tensors."""
    _check_reduction(reduction)
    _check_triplet(anchor, positive, negative, margin)
    distance = pairwise_distance if distance_function is None else distance_function
    return _triplet(distance, anchor, positive, negative, margin, swap, reduction)


def _rows_and_classes(name, input, target):
    """(batch, classes) and (batch), and whether the input was a single sample."""
    if input.ndim > 2 or input.numel() == 0 and input.shape[-1:] == (0,):
        raise RuntimeError(
            f"{name}: Expected non-empty vector or matrix with optional 0-dim batch size, but got: "
            f"{list(input.shape)}"
        )
    single = input.ndim < 2
    rows = input.reshape(1, -1) if single else input
    if target.ndim > 1 or target.numel() != rows.shape[0]:
        raise RuntimeError(
            f"{name}: target tensor should be 1-D with size equal to the number of input samples "
            f"(batch size). Expected target size [{rows.shape[0]}], but got {list(target.shape)}. "
            f"Input has shape {list(input.shape)}."
        )
    return rows, target.reshape(-1), single


@operator(
    method=False, out=False, namespace="nn.functional", backward_name="MultiMarginLossBackward0"
)
def multi_margin_loss(
    input, target, p=1, margin=1.0, weight=None, size_average=None, reduce=None, reduction="mean"
):
    """`Σ max(0, margin - x[t] + x[i])^p · weight[t] / classes` over the classes i other than t."""
    reduction = legacy_reduction(size_average, reduce, reduction)
    _check_reduction(reduction)
    if p not in (1, 2):
        raise ValueError("only p == 1 and p == 2 supported")
    if weight is not None and weight.ndim != 1:
        raise ValueError("weight must be one-dimensional")
    rows, classes, single = _rows_and_classes("multi_margin_loss", input, target)
    if bool(((classes < 0) | (classes >= rows.shape[1])).any()):
        raise RuntimeError("target out of range")
    refuse("multi_margin_loss_cpu_kernel", input.dtype, *NOT_FLOATING, HALF)
    chosen = rows.gather(1, classes.unsqueeze(1))
    excess = (margin - chosen + rows).clamp_min(0)
    excess = excess if p == 1 else excess * excess
    if weight is not None:
        excess = excess * weight[classes].unsqueeze(1)
    own = ops.arange(rows.shape[1]) == classes.unsqueeze(1)
    loss = excess.masked_fill(own, 0).sum(1) / rows.shape[1]
    loss = reduced(loss, reduction)
    return loss.reshape(target.shape) if single and reduction == "none" else loss


@operator(
    method=False,
    out=False,
    namespace="nn.functional",
    backward_name="MultilabelMarginLossBackward0",
)
def multilabel_margin_loss(input, target, size_average=None, reduce=None, reduction="mean"):
    """`Σ max(0, 1 - (x[t] - x[i])) / classes` over the target classes t and all other classes i.

    Each row of the target lists classes and ends at the first -1.
    """
    reduction = legacy_reduction(size_average, reduce, reduction)
    _check_reduction(reduction)
    if target.shape != input.shape:
        raise RuntimeError(
            f"inconsistent target size: {list(target.shape)} for input of size: {list(input.shape)}"
        )
    if target.dtype is not dtypes.int64:
        raise RuntimeError(f"expected scalar type Long but found {target.dtype.letter}")
    refuse("multilabel_margin_loss_forward_out_frame", input.dtype, *NOT_FLOATING, HALF)
    rows = input.reshape(-1, input.shape[-1]) if input.ndim else input.reshape(1, 1)
    listed = target.reshape(rows.shape)
    count = rows.shape[1]
    if bool(((listed < -1) | (listed >= count)).any()):
        raise RuntimeError("argument #2 'target' is out of range")
    valid = (listed >= 0).to(dtypes.int64).cumprod(1) == 1
    safe = listed.clamp(min=0)
    hits = ops.zeros(*rows.shape, dtype=dtypes.int64).scatter_add(1, safe, valid.to(dtypes.int64))
    margins = (1 - rows.gather(1, safe).unsqueeze(2) + rows.unsqueeze(1)).clamp_min(0)
    counts = valid.unsqueeze(2) & (hits == 0).unsqueeze(1)
    loss = margins.masked_fill(~counts, 0).sum((1, 2)) / count
    if input.ndim < 2:
        loss = loss.reshape(())
    return reduced(loss, reduction)


@operator(method=False, out=False, namespace="nn.functional")
def multilabel_soft_margin_loss(
    input, target, weight=None, size_average=None, reduce=None, reduction="mean"
):
    """The mean over the classes of binary cross entropy with logits."""
    reduction = legacy_reduction(size_average, reduce, reduction)
    loss = -(target * logsigmoid(input) + (1 - target) * logsigmoid(-input))
    return reduced((loss if weight is None else loss * weight).mean(-1), reduction)
