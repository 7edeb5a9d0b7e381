"""Tables of vectors looked up by index: embedding, bags of embeddings, one-hot vectors."""

from __future__ import annotations

import warnings
from functools import partial

import numpy as np

from fakel import ops
from fakel.autograd import no_grad
from fakel.ops.checks import check_known
from fakel.ops.declare import gradient, not_differentiable, operator, primitive
from fakel.tensor import dtypes


def _checked(indices, rows):
    if indices.size and (indices.min() < 0 or indices.max() >= rows):
        raise IndexError("index out of range in self")
    return indices


def _check_bags(values: np.ndarray, rows: int, plain: bool) -> None:
    wrong = np.flatnonzero((values < 0) | (values >= rows))
    if wrong.size and plain:
        raise RuntimeError(
            f"Index {wrong[0]} of input takes value {values[wrong[0]]} which is not in the valid "
            f"range [0, {rows})"
        )
    if wrong.size:
        raise RuntimeError(
            "embedding_bag: Expected idx >= 0 && idx < num_embeddings but found idx to be "
            f"{values[wrong[0]]}"
        )


@primitive("embedding")
def _embedding(weight, indices, *, padding_idx, scale_grad_by_freq, plain=None):
    if plain is not None:
        _check_bags(indices, len(weight), plain)
    return np.take(weight, _checked(indices, len(weight)), axis=0)


@primitive("embedding_gradient")
def _embedding_gradient(output_gradient, indices, *, rows, padding_idx, scale_grad_by_freq):
    flat = _checked(indices, rows).ravel()
    lines = output_gradient.reshape(flat.size, output_gradient.shape[-1])
    result = np.zeros((rows, lines.shape[1]), lines.dtype)
    kept = flat != padding_idx
    flat, lines = flat[kept], lines[kept]
    if not flat.size:
        return result
    order = np.argsort(flat, kind="stable")
    distinct, starts, counts = np.unique(flat[order], return_index=True, return_counts=True)
    sums = np.add.reduceat(lines[order], starts, axis=0)
    result[distinct] = sums / counts[:, None] if scale_grad_by_freq else sums
    return result


def _embedding_gradient_transposed(grad, indices, padding_idx, scale_grad_by_freq, rows):
    result = _look_up(grad, indices, padding_idx, scale_grad_by_freq)
    if scale_grad_by_freq:
        counts = ops.bincount(indices.reshape(-1), minlength=rows)
        result = result / counts[indices].unsqueeze(-1)
    if padding_idx >= 0:
        result = result.masked_fill((indices == padding_idx).unsqueeze(-1), 0)
    return result


def _look_up(weight, indices, padding_idx, scale_grad_by_freq, **asked_by):
    return _embedding(
        weight, indices, padding_idx=padding_idx, scale_grad_by_freq=scale_grad_by_freq,
        **asked_by, shape=(*indices.shape, weight.shape[1]),
    )  # fmt: skip


gradient(
    _embedding,
    weight=lambda grad, weight, indices, padding_idx, scale_grad_by_freq: _embedding_gradient(
        grad, indices, rows=weight.shape[0], padding_idx=padding_idx,
        scale_grad_by_freq=scale_grad_by_freq, shape=tuple(weight.shape)),
)  # fmt: skip
gradient(_embedding_gradient, output_gradient=_embedding_gradient_transposed)


def _check_indices(indices, name):
    if indices.dtype not in (dtypes.int64, dtypes.int32):
        raise RuntimeError(
            "Expected tensor for argument #1 'indices' to have one of the following scalar types: "
            f"Long, Int; but got torch.{indices.dtype.letter}Tensor instead (while checking "
            f"arguments for {name})"
        )


def _padding_row(padding_idx, rows):
    if padding_idx is None:
        return -1
    if not -rows <= padding_idx < rows:
        raise AssertionError("Padding_idx must be within num_embeddings")
    return int(padding_idx) % rows


def _limit_norms(weight, indices, max_norm, norm_type):
    """Scales the rows that are looked up down to `max_norm`, in place."""
    with no_grad():
        norms = weight.norm(norm_type, 1, keepdim=True)
        used = ops.zeros_like(norms, dtype=dtypes.bool_).index_fill(0, indices.reshape(-1), True)
        scale = ops.where(used & (norms > max_norm), max_norm / (norms + 1e-7), 1.0)
        weight.mul_(scale)


@operator(method=False, out=False, namespace="nn.functional")
def embedding(
    input, weight, padding_idx=None, max_norm=None, norm_type=2.0, scale_grad_by_freq=False,
    sparse=False,
):  # fmt: skip
    """The rows of `weight` that the indices name: (*,) gives (*, features).

    Args:
        input: the indices.
        weight: (rows, features).
        padding_idx: a row that gets no gradient.
        max_norm: scales longer rows down in place, before they are looked up.
        norm_type: which norm `max_norm` means.
        scale_grad_by_freq: divides a row's gradient by how often it was looked up.
        sparse: must be False: gradients are dense.
    """
    _check_indices(input, "embedding")
    if weight.ndim != 2:
        raise RuntimeError("'weight' must be 2-D")
    check = partial(_checked, rows=weight.shape[0])
    return _rows(input, weight, padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse, check)


def _rows(
    input, weight, padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse, check, **asked_by
):
    """What `embedding` gives, of arguments that were checked but for the values of indices."""
    if sparse:
        raise NotImplementedError("embedding: sparse gradients are not supported")
    padding_idx = _padding_row(padding_idx, weight.shape[0])
    if max_norm is not None:
        _limit_norms(weight, input, max_norm, norm_type)
    check_known(input, check)
    return _look_up(weight, input, padding_idx, scale_grad_by_freq, **asked_by)


# Bags


def _check_offsets(offsets, count):
    if offsets.size and offsets[0] != 0:
        raise RuntimeError(
            "offsets[0] has to be 0, i.e., the first sequence in the mini-batch has to start from "
            f"position 0. However, got {offsets[0]}\n"
            f"[ torch.{'Int' if offsets.dtype == np.int32 else 'Long'}Tensor{{}} ]"
        )
    if offsets.size and offsets[-1] > count:
        raise RuntimeError(
            f"offsets[-1] can not be greater than input's length {count} but got offsets[-1] of "
            f"{offsets[-1]}"
        )
    _checked(offsets, count + 1)


@primitive("bag_of_each")
def _bag_of_each(offsets, *, count):
    """For each index, the number of the bag that it lies in."""
    _check_offsets(offsets, count)
    return np.searchsorted(offsets, np.arange(count), side="right") - 1


@primitive("bag_maximum")
def _bag_maximum(rows, bags, *, count):
    """The maximum of each bag of rows, and which row gave it; empty bags are 0."""
    winner = np.full((count, rows.shape[1]), -1, np.int64)
    values = np.full(winner.shape, -np.inf, rows.dtype)
    order = np.argsort(bags, kind="stable")
    order = order[bags[order] >= 0]
    places = np.zeros(len(rows), np.int64)
    starts = np.searchsorted(bags[order], np.arange(count))
    places[order] = np.arange(len(order)) - starts[bags[order]]
    for place in range(places[order].max(initial=-1) + 1):
        chosen = order[places[order] == place]
        bag = bags[chosen]
        better = rows[chosen] > values[bag]
        better |= (winner[bag] < 0) | np.isnan(rows[chosen])
        values[bag] = np.where(better, rows[chosen], values[bag])
        winner[bag] = np.where(better, chosen[:, None], winner[bag])
    return np.where(winner < 0, 0, values), winner


def _scatter_to_winners(grads, rows, results):
    grad, winner = grads[0], results[1]
    kept = grad.masked_fill(winner < 0, 0)
    return ops.zeros_like(rows).scatter_add(0, winner.clamp(min=0), kept)


not_differentiable(_bag_of_each)
gradient(_bag_maximum, rows=_scatter_to_winners)


@operator(method=False, out=False, namespace="nn.functional", backward_name="EmbeddingBagBackward0")
def embedding_bag(
    input, weight, offsets=None, max_norm=None, norm_type=2, scale_grad_by_freq=False, mode="mean",
    sparse=False, per_sample_weights=None, include_last_offset=False, padding_idx=None,
):  # fmt: skip
    """Sums, means or maxima of bags of embeddings.

    Args:
        input: (bags, size of a bag), or all bags' indices in one dimension with `offsets`.
        weight: (rows, features).
        offsets: where each bag starts in a one-dimensional input.
        mode: "sum", "mean" or "max"; an empty bag gives zeros.
        per_sample_weights: a factor for each index, only for "sum".
        include_last_offset: `offsets` also has the end of the last bag.
        padding_idx: an index that takes no part.
        max_norm, norm_type, scale_grad_by_freq, sparse: as of `embedding`.
    """
    if weight.dtype == dtypes.int64 and input.is_floating_point():
        warnings.warn(
            "Argument order of nn.functional.embedding_bag was changed. Usage "
            "`embedding_bag(weight, input, ...)` is deprecated, and should now be "
            "`embedding_bag(input, weight, ...)`.",
            stacklevel=2,
        )
        weight, input = input, weight
    if per_sample_weights is not None and input.shape != per_sample_weights.shape:
        raise ValueError(
            "embedding_bag: If per_sample_weights "
            f"({per_sample_weights.shape}) is not None, then it must have the same shape as "
            f"the input ({input.shape})"
        )
    if weight.ndim != 2:
        raise ValueError(f"weight has to be a 2D Tensor, but got Tensor of dimension {weight.ndim}")
    if input.ndim == 2:
        if offsets is not None:
            raise ValueError(
                "if input is 2D, then offsets has to be None, as input is treated is a mini-batch "
                "of fixed length sequences. However, found offsets of type <class 'torch.Tensor'>"
            )
        offsets = ops.arange(0, input.numel(), max(input.shape[1], 1))
        if not input.shape[1]:
            offsets = ops.zeros(input.shape[0], dtype=dtypes.int64)
        include_last_offset = False
        input = input.reshape(-1)
        if per_sample_weights is not None:
            per_sample_weights = per_sample_weights.reshape(-1)
    elif input.ndim == 1:
        if offsets is None:
            raise ValueError("offsets has to be a 1D Tensor but got None")
        if offsets.ndim != 1:
            raise ValueError("offsets has to be a 1D Tensor")
    else:
        raise ValueError(
            f"input has to be 1D or 2D Tensor, but got Tensor of dimension {input.ndim}"
        )
    if mode not in ("sum", "mean", "max"):
        raise ValueError("mode has to be one of sum, mean or max")
    if per_sample_weights is not None and mode != "sum":
        raise NotImplementedError(
            "embedding_bag: per_sample_weights was not None. per_sample_weights is only supported "
            f"for mode='sum' (got mode='{mode}'). Please open a feature request on GitHub."
        )
    for positions in (input, offsets):
        _check_indices(positions, "embedding_bag")
    looked_up, known = input.shape[0], weight.shape[0]
    # PyTorch's fast path, which has other words for a wrong index
    plain = mode != "max" and padding_idx is None and per_sample_weights is None
    plain = plain and weight.dtype != dtypes.float64
    rows = _rows(
        input, weight, padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse,
        partial(_check_bags, rows=known, plain=plain), plain=plain,
    )  # fmt: skip
    check_known(offsets, lambda values: _check_offsets(values, looked_up))
    count = offsets.shape[0] - int(include_last_offset)
    bags = _bag_of_each(
        offsets[:count], count=input.shape[0], shape=(input.shape[0],), dtype=dtypes.int64
    )
    weights = per_sample_weights
    if padding_idx is not None:
        left_out = input == padding_idx % weight.shape[0]
        if mode == "max":
            bags = bags.masked_fill(left_out, -1)
        else:
            kept = (~left_out).to(weight.dtype)
            weights = kept if weights is None else weights * kept
    if mode == "max":
        shape = (count, weight.shape[1])
        return _bag_maximum(
            rows, bags, count=count, shape=(shape, shape), dtype=(weight.dtype, dtypes.int64)
        )[0]
    if weights is not None:
        rows = rows * weights.unsqueeze(-1)
    total = rows.new_zeros(count, weight.shape[1]).index_add(0, bags, rows)
    if mode == "sum":
        return total
    ones = rows.new_ones(input.shape[0]) if weights is None else weights
    sizes = rows.new_zeros(count).index_add(0, bags, ones)
    return total / sizes.clamp(min=1).unsqueeze(-1)


def _check_one_hot(input, classes):
    if input.size and input.min() < 0:
        raise RuntimeError("Class values must be non-negative.")
    if input.size and input.max() >= classes:
        raise RuntimeError("Class values must be smaller than num_classes.")


@primitive("one_hot")
def _one_hot(input, *, classes):
    _check_one_hot(input, classes)
    return input[..., None] == np.arange(classes)


not_differentiable(_one_hot)


@operator(method=False, out=False, namespace="nn.functional")
def one_hot(tensor, num_classes=-1):
    """(*,) of classes as (*, num_classes) of zeros and ones; the greatest class decides for -1."""
    if tensor.dtype != dtypes.int64:
        raise RuntimeError("one_hot is only applicable to index tensor of type LongTensor.")
    if num_classes == -1:
        if tensor.numel() == 0:
            raise RuntimeError("Can not infer total number of classes from empty tensor.")
        num_classes = int(tensor.max().item()) + 1
    elif num_classes <= 0 and tensor.numel() == 0:
        raise RuntimeError("Can not infer total number of classes from empty tensor.")
    check_known(tensor, lambda values: _check_one_hot(values, num_classes))
    return _one_hot(
        tensor, classes=int(num_classes), shape=(*tensor.shape, max(int(num_classes), 0))
    )
