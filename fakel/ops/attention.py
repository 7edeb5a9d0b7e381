"""Attention (Vaswani et al., arXiv:1706.03762): scaled dot products as one node, and multi-head."""

from __future__ import annotations

import math

import numpy as np

from fakel import ops
from fakel.autograd.tape import retitled
from fakel.ops.checks import COMPLEX, refuse
from fakel.ops.declare import broadcast_shapes, gradient, operator, primitive
from fakel.ops.dropout import dropout
from fakel.ops.linear import linear
from fakel.ops.padding import pad
from fakel.ops.pullback import pullback
from fakel.ops.softmax import softmax
from fakel.tensor import dtypes


def _scores(query, key, mask, *, causal, scale):
    """The scaled and masked products."""
    factor = np.asarray(math.sqrt(scale), query.dtype)
    scores = np.matmul(query * factor, (key * factor).swapaxes(-1, -2))
    if causal:
        allowed = np.tri(*scores.shape[-2:], dtype=bool)
        scores = np.where(allowed, scores, -np.inf)
    if mask is not None:
        # a product that is no number stays so where a mask is added, as in PyTorch
        added = np.where(mask, 0, -np.inf).astype(scores.dtype) if mask.dtype == bool else mask
        scores = scores + added
    return scores


@primitive("attention", backward_name="ScaledDotProductFlashAttentionForCpuBackward0")
def _attention(query, key, value, mask, *, causal, scale):
    """Gives the output, and the logarithms of the sums by which softmax divides: 0 for a row that
    is masked altogether, which attends to nothing.
    """
    scores = _scores(query, key, mask, causal=causal, scale=scale)
    most = scores.max(-1, keepdims=True, initial=-np.inf)
    most = np.where(np.isneginf(most), np.zeros((), most.dtype), most)
    weights = np.exp(scores - most)
    total = weights.sum(-1, keepdims=True)
    total = np.where(total == 0, np.ones((), total.dtype), total)
    output = np.matmul(weights / total, value)
    return output, np.broadcast_to((np.log(total) + most)[..., 0], output.shape[:-1])


@primitive("attention_gradient")
def _attention_gradient(
    output_gradient, query, key, value, mask, output, logarithms, *, causal, scale
):
    scores = _scores(query, key, mask, causal=causal, scale=scale)
    weights = np.exp(scores - logarithms[..., None])
    value_gradient = np.matmul(weights.swapaxes(-1, -2), output_gradient)
    inner = np.matmul(output_gradient, value.swapaxes(-1, -2))
    scores = weights * (inner - (output_gradient * output).sum(-1, keepdims=True))
    scaled = scores * np.asarray(scale, scores.dtype)
    return (
        np.matmul(scaled, key),
        np.matmul(scaled.swapaxes(-1, -2), query),
        value_gradient,
        scores,
    )


def _pull_attention(grad, query, key, value, mask, result, result1, causal, scale):
    batch = broadcast_shapes(query.shape[:-2], key.shape[:-2], value.shape[:-2])
    if mask is not None:
        batch = broadcast_shapes(batch, mask.shape[:-2])
    sizes = query.shape[-2:], key.shape[-2:], value.shape[-2:], (query.shape[-2], key.shape[-2])
    return _attention_gradient(
        grad, query, key, value, mask, result, result1, causal=causal, scale=scale,
        shape=tuple((*batch, *size) for size in sizes), dtype=(query.dtype,) * 4,
    )  # fmt: skip


def _composite_attention(query, key, value, mask, causal, scale):
    """The output, as small operators."""
    scores = query.matmul(key.transpose(-1, -2)) * scale
    return softmax(_masked(scores, mask, causal), -1).matmul(value)


def _masked(scores, mask, causal):
    if causal:
        allowed = ops.ones(*scores.shape[-2:], dtype=dtypes.bool_).tril()
        scores = scores.masked_fill(~allowed, -math.inf)
    if mask is None:
        return scores
    return scores.masked_fill(~mask, -math.inf) if mask.dtype == dtypes.bool_ else scores + mask


def _pull_attention_gradient(grads, output_gradient, query, key, value, mask, causal, scale):
    batch = output_gradient.shape[:-2]

    def first(output_gradient, *tensors):
        # the node gives gradients of the broadcast shapes
        wide = [None if t is None else t.expand(*batch, *t.shape[-2:]) for t in tensors]
        return pullback(
            lambda *tensors: _composite_attention(*tensors, causal, scale),
            wide,
            (output_gradient,),
        )

    return (*pullback(first, (output_gradient, query, key, value, mask), grads), None, None)


gradient(_attention, joint=_pull_attention)
gradient(_attention_gradient, joint=_pull_attention_gradient)


def _check_attention(query, key, value, mask, is_causal):
    kinds = [tensor.dtype.c_name for tensor in (query, key, value)]
    if len(set(kinds)) > 1:
        raise RuntimeError(
            "Expected query, key, and value to have the same dtype, but got query.dtype: "
            f"{kinds[0]} key.dtype: {kinds[1]} and value.dtype: {kinds[2]} instead."
        )
    if min(query.ndim, key.ndim, value.ndim) < 2:
        raise RuntimeError(
            "Expected query, key, and value to all be  at least 2 dimensional, but got query.dim: "
            f"{query.ndim} key.dim: {key.ndim} and value.dim: {value.ndim} instead."
        )
    rows = math.prod(broadcast_shapes(query.shape[:-2], key.shape[:-2]))
    for size, other in (
        (query.shape[-1], key.shape[-1]),
        (key.shape[-2], value.shape[-2]),
    ):
        if size != other:
            raise RuntimeError(
                "Expected size for first two dimensions of batch2 tensor to be: "
                f"[{rows}, {size}] but got: [{rows}, {other}]."
            )
    if mask is None:
        return
    if mask.dtype not in (dtypes.bool_, query.dtype, dtypes.float32):
        raise RuntimeError(
            "Expected attn_mask dtype to be bool or float or to match query dtype, but got "
            f"attn_mask.dtype: {mask.dtype.c_name} and  query.dtype: {kinds[0]} instead."
        )
    if is_causal:
        raise RuntimeError(
            "_scaled_dot_product_attention: Explicit attn_mask should not be set when "
            "is_causal=True"
        )
    batch = broadcast_shapes(query.shape[:-2], key.shape[:-2])
    broadcast_shapes((*batch, query.shape[-2], key.shape[-2]), mask.shape)


def _repeat_heads(query, tensor):
    """Repeats the heads of key or value for each group of the query's heads."""
    times, rest = divmod(query.shape[-3], tensor.shape[-3])
    if rest:
        raise RuntimeError("Number of heads in key and value must divide the number of heads in ")
    return tensor if times == 1 else tensor.repeat_interleave(times, -3)


@operator(method=False, out=False, namespace="nn.functional")
def scaled_dot_product_attention(
    query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None,
    enable_gqa=False,
):  # fmt: skip
    """`softmax(query · keyᵀ · scale + mask) · value`.

    Args:
        query: (*, targets, features).
        key: (*, sources, features).
        value: (*, sources, value features).
        attn_mask: what is added to the products, or for booleans where to attend.
        dropout_p: the probability that a weight is dropped.
        is_causal: attends to sources up to the target's own position only.
        scale: `1 / √features` when left out.
        enable_gqa: lets groups of query heads (dimension -3) share key and value heads.
    """
    if enable_gqa and min(query.ndim, key.ndim, value.ndim) > 2:
        key, value = _repeat_heads(query, key), _repeat_heads(query, value)
    _check_attention(query, key, value, attn_mask, is_causal)
    if not (query.is_floating_point() or query.is_complex()):
        raise RuntimeError(f"expected scalar type Float but found {query.dtype.letter}")
    refuse("softmax_lastdim_kernel_impl", query.dtype, COMPLEX)
    scale = 1 / math.sqrt(query.shape[-1] or 1) if scale is None else float(scale)
    if attn_mask is not None and attn_mask.is_floating_point():
        attn_mask = attn_mask.to(query.dtype)
    if dropout_p > 0:
        scores = query.matmul(key.transpose(-1, -2)) * scale
        weights = softmax(_masked(scores, attn_mask, is_causal), -1)
        return dropout(weights, dropout_p).matmul(value)
    batch = broadcast_shapes(query.shape[:-2], key.shape[:-2], value.shape[:-2])
    if attn_mask is not None:
        batch = broadcast_shapes(batch, attn_mask.shape[:-2])
    rows = (*batch, query.shape[-2])
    result = _attention(
        query, key, value, attn_mask, causal=bool(is_causal), scale=scale,
        shape=((*rows, value.shape[-1]), rows), dtype=(query.dtype,) * 2,
    )[0]  # fmt: skip
    if query.ndim == 4 and (attn_mask is None or not attn_mask.requires_grad):
        return result
    # PyTorch leaves these to its products
    return retitled(result, "MmBackward0" if query.ndim == 2 else "UnsafeViewBackward0")


# Multi-head attention


def _check_heads(query, key, value, key_padding_mask, attn_mask, heads):
    """Whether the inputs are batched; refuses combinations that do not fit together."""
    if query.ndim not in (2, 3):
        raise AssertionError(
            f"query should be unbatched 2D or batched 3D tensor but received {query.ndim}-D query "
            "tensor"
        )
    batched = query.ndim == 3
    kind, ndim = ("batched", 3) if batched else ("unbatched", 2)
    if key.ndim != ndim or value.ndim != ndim:
        raise AssertionError(
            f"For {kind} ({ndim}-D) `query`, expected `key` and `value` to be {ndim}-D but found "
            f"{key.ndim}-D and {value.ndim}-D tensors respectively"
        )
    if key_padding_mask is not None and key_padding_mask.ndim != ndim - 1:
        raise AssertionError(
            f"For {kind} ({ndim}-D) `query`, expected `key_padding_mask` to be `None` or "
            f"{ndim - 1}-D but found {key_padding_mask.ndim}-D tensor instead"
        )
    if attn_mask is not None and attn_mask.ndim not in (2, 3):
        raise AssertionError(
            f"For {kind} ({ndim}-D) `query`, expected `attn_mask` to be `None`, 2-D or 3-D but "
            f"found {attn_mask.ndim}-D tensor instead"
        )
    if attn_mask is not None and not batched and attn_mask.ndim == 3:
        expected = (heads, query.shape[0], key.shape[0])
        if tuple(attn_mask.shape) != expected:
            raise AssertionError(
                f"Expected `attn_mask` shape to be {expected} but got {attn_mask.shape}"
            )
    return batched


def _additive_mask(mask, name, kind):
    """A mask to add to the products: minus infinity where a boolean mask is true."""
    if mask is None:
        return None
    if mask.dtype == dtypes.bool_:
        return ops.zeros_like(mask, dtype=kind).masked_fill(mask, -math.inf)
    if not mask.is_floating_point():
        raise AssertionError(f"only bool and floating types of {name} are supported")
    return mask


def _project(query, key, value, weights, bias):
    biases = (None,) * 3 if bias is None else bias.chunk(3)
    return [
        linear(tensor, weight, shift)
        for tensor, weight, shift in zip((query, key, value), weights, biases, strict=True)
    ]


def _check_mask_shape(mask, targets, sources, rows):
    if mask.ndim == 2:
        if tuple(mask.shape) != (targets, sources):
            raise RuntimeError(
                f"The shape of the 2D attn_mask is {mask.shape}, but should be "
                f"{(targets, sources)}."
            )
        return mask.unsqueeze(0)
    if mask.ndim != 3:
        raise RuntimeError(f"attn_mask's dimension {mask.ndim} is not supported")
    if tuple(mask.shape) != (rows, targets, sources):
        raise RuntimeError(
            f"The shape of the 3D attn_mask is {mask.shape}, but should be "
            f"{(rows, targets, sources)}."
        )
    return mask


def _split_heads(tensor, rows, features):
    """(time, batch, heads · features) as (batch · heads, time, features)."""
    return tensor.reshape(tensor.shape[0], rows, features).transpose(0, 1)


def _static(given, name, rows, features):
    if given.shape[0] != rows:
        raise AssertionError(f"expecting {name}.size(0) of {rows}, but got {given.shape[0]}")
    if given.shape[2] != features:
        raise AssertionError(f"expecting {name}.size(2) of {features}, but got {given.shape[2]}")
    return given


def multi_head_attention_forward(
    query, key, value, embed_dim_to_check, num_heads, in_proj_weight, in_proj_bias, bias_k, bias_v,
    add_zero_attn, dropout_p, out_proj_weight, out_proj_bias, training=True, key_padding_mask=None,
    need_weights=True, attn_mask=None, use_separate_proj_weight=False, q_proj_weight=None,
    k_proj_weight=None, v_proj_weight=None, static_k=None, static_v=None,
    average_attn_weights=True, is_causal=False,
):  # fmt: skip
    """Projects query, key and value, attends with several heads, and projects the result.

    Args:
        query: (targets, batch, embedding), or without the batch.
        key, value: (sources, batch, embedding), or without the batch.
        embed_dim_to_check: the embedding's size.
        num_heads: how many heads the embedding is split into.
        in_proj_weight, in_proj_bias: the projections of query, key and value, stacked.
        bias_k, bias_v: a row added to key and value.
        add_zero_attn: adds a row of zeros to key and value.
        dropout_p: the probability that a weight is dropped when training.
        out_proj_weight, out_proj_bias: the last projection.
        key_padding_mask: (batch, sources), true for sources that do not count.
        need_weights: also gives the weights.
        attn_mask: (targets, sources) or (batch · heads, targets, sources), true where not to attend
            or numbers to add.
        use_separate_proj_weight: the projections are `q_proj_weight` and so on.
        static_k, static_v: projected keys and values to use.
        average_attn_weights: gives the mean of the heads' weights.
        is_causal: says that `attn_mask` is the causal one.

    Returns:
        (targets, batch, embedding), and the weights (batch, targets, sources) or None.
    """
    batched = _check_heads(query, key, value, key_padding_mask, attn_mask, num_heads)
    if not batched:
        query, key, value = (tensor.unsqueeze(1) for tensor in (query, key, value))
        if key_padding_mask is not None:
            key_padding_mask = key_padding_mask.unsqueeze(0)
    targets, batch, embedding = query.shape
    sources = key.shape[0]
    if key_padding_mask is not None:
        for dim, length in enumerate((batch, sources)):
            if key_padding_mask.shape[dim] != length:
                raise AssertionError(
                    f"Expected key_padded_mask.shape[{dim}] to be {length}, but got "
                    f"{key_padding_mask.shape[dim]}"
                )
    key_padding_mask = _additive_mask(key_padding_mask, "key_padding_mask", query.dtype)
    if is_causal and attn_mask is None:
        raise RuntimeError(
            "Need attn_mask if specifying the is_causal hint. You may use the Transformer module "
            "method `generate_square_subsequent_mask` to create this mask."
        )
    if is_causal and key_padding_mask is None and not need_weights:
        attn_mask = None
    else:
        attn_mask = _additive_mask(attn_mask, "attn_mask", query.dtype)
        is_causal = False
    if embedding != embed_dim_to_check:
        raise AssertionError(
            f"was expecting embedding dimension of {embed_dim_to_check}, but got {embedding}"
        )
    features = embedding // num_heads
    if features * num_heads != embedding:
        raise AssertionError(f"embed_dim {embedding} not divisible by num_heads {num_heads}")
    if use_separate_proj_weight:
        if key.shape[:2] != value.shape[:2]:
            raise AssertionError(
                f"key's sequence and batch dims {key.shape[:2]} do not match value's "
                f"{value.shape[:2]}"
            )
        weights = (q_proj_weight, k_proj_weight, v_proj_weight)
        for name, weight in zip("qkv", weights, strict=True):
            if weight is None:
                raise AssertionError(
                    f"use_separate_proj_weight is True but {name}_proj_weight is None"
                )
    else:
        if key.shape != value.shape:
            raise AssertionError(f"key shape {key.shape} does not match value shape {value.shape}")
        if in_proj_weight is None:
            raise AssertionError("use_separate_proj_weight is False but in_proj_weight is None")
        weights = in_proj_weight.chunk(3)
    q, k, v = _project(query, key, value, weights, in_proj_bias)
    rows = batch * num_heads
    if attn_mask is not None:
        attn_mask = _check_mask_shape(attn_mask, targets, sources, rows)
    if bias_k is not None and bias_v is not None:
        k = ops.cat([k, bias_k.repeat(1, batch, 1)])
        v = ops.cat([v, bias_v.repeat(1, batch, 1)])
        attn_mask, key_padding_mask = _widened(attn_mask), _widened(key_padding_mask)
    q = _split_heads(q, rows, features)
    k = (
        _split_heads(k, rows, features)
        if static_k is None
        else _static(static_k, "static_k", rows, features)
    )
    v = (
        _split_heads(v, rows, features)
        if static_v is None
        else _static(static_v, "static_v", rows, features)
    )
    if add_zero_attn:
        k, v = (ops.cat([t, t.new_zeros(rows, 1, features)], 1) for t in (k, v))
        attn_mask, key_padding_mask = _widened(attn_mask), _widened(key_padding_mask)
    sources = k.shape[1]
    if key_padding_mask is not None:
        padding = key_padding_mask.reshape(batch, 1, 1, sources)
        padding = padding.expand(-1, num_heads, -1, -1).reshape(rows, 1, sources)
        attn_mask = padding if attn_mask is None else attn_mask + padding
    probability = dropout_p if training else 0.0
    found = None
    if need_weights:
        scores = (q * math.sqrt(1.0 / features)).bmm(k.transpose(-2, -1))
        found = softmax(scores if attn_mask is None else scores + attn_mask, -1)
        if probability > 0.0:
            found = dropout(found, probability)
        output = found.bmm(v).transpose(0, 1)
    else:
        if attn_mask is not None:
            single = attn_mask.shape[0] == 1
            attn_mask = (
                attn_mask.unsqueeze(0)
                if single
                else attn_mask.reshape(batch, num_heads, -1, sources)
            )
        q, k, v = (t.reshape(batch, num_heads, t.shape[1], features) for t in (q, k, v))
        output = scaled_dot_product_attention(q, k, v, attn_mask, probability, is_causal)
        output = output.permute(2, 0, 1, 3)
    output = linear(output.reshape(targets * batch, embedding), out_proj_weight, out_proj_bias)
    output = output.reshape(targets, batch, output.shape[1])
    if found is not None:
        found = found.reshape(batch, num_heads, targets, sources)
        found = found.mean(1) if average_attn_weights else found
    if not batched:
        output = output.squeeze(1)
        found = None if found is None else found.squeeze(0)
    return output, found


def _widened(mask):
    """A mask with one more source, which is not masked."""
    return None if mask is None else pad(mask, (0, 1))
