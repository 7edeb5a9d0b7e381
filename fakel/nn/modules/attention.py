"""Multi-head attention (Vaswani et al. 2017, arXiv:1706.03762)."""

import warnings

from fakel import ops
from fakel.nn import functional as F
from fakel.nn import init
from fakel.nn.modules.linear import NonDynamicallyQuantizableLinear
from fakel.nn.modules.module import Module
from fakel.nn.parameter import Parameter
from fakel.tensor import dtypes

__all__ = ["MultiheadAttention"]


def additive_mask(mask, name, dtype, other=None, other_name=""):
    """A mask to add to scores: -inf where a boolean mask is True; None stays None.

    Args:
        mask: booleans, or numbers that are added as they are.
        name: the mask's name, for messages.
        dtype: the dtype of the scores.
        other: a mask used together with this one, which should be of the same kind.
        other_name: its name.
    """
    if mask is None:
        return None
    if mask.dtype != dtypes.bool_ and not mask.is_floating_point():
        raise AssertionError(f"only bool and floating types of {name} are supported")
    if other is not None and other.dtype != mask.dtype:
        warnings.warn(
            f"Support for mismatched {name} and {other_name} "
            "is deprecated. Use same type for both instead.",
            stacklevel=3,
        )
    if mask.is_floating_point():
        return mask
    return ops.zeros_like(mask, dtype=dtype).masked_fill(mask, float("-inf"))


class MultiheadAttention(Module):
    """Concat(head_1, ..., head_h) W_out with head_i = Attention(Q W_i, K W_i, V W_i) and
    Attention(Q, K, V) = softmax(Q Kᵀ / √d) V.

    Args:
        embed_dim: length of an output; every head works on embed_dim / num_heads of it.
        num_heads: the number of heads.
        dropout: probability of dropping an attention weight.
        bias: whether the projections have biases.
        add_bias_kv: add a learned key and value to the sequences.
        add_zero_attn: add a key and value of zeros to the sequences.
        kdim: length of a key; embed_dim by default.
        vdim: length of a value; embed_dim by default.
        batch_first: whether tensors are (N, L, E) instead of (L, N, E).

    Shape:
        query (L, N, E), key (S, N, kdim), value (S, N, vdim), or all without N, to
        (L, N, E) and weights (N, L, S).
    """

    def __init__(
        self,
        embed_dim,
        num_heads,
        dropout=0.0,
        bias=True,
        add_bias_kv=False,
        add_zero_attn=False,
        kdim=None,
        vdim=None,
        batch_first=False,
        device=None,
        dtype=None,
    ):
        if embed_dim <= 0 or num_heads <= 0:
            raise ValueError(
                "embed_dim and num_heads must be greater than 0,"
                f" got embed_dim={embed_dim} and num_heads={num_heads} instead"
            )
        super().__init__()
        self.embed_dim = embed_dim
        self.kdim = embed_dim if kdim is None else kdim
        self.vdim = embed_dim if vdim is None else vdim
        self._qkv_same_embed_dim = self.kdim == embed_dim and self.vdim == embed_dim
        self.num_heads = num_heads
        self.dropout = dropout
        self.batch_first = batch_first
        self.head_dim = embed_dim // num_heads
        if self.head_dim * num_heads != embed_dim:
            raise AssertionError("embed_dim must be divisible by num_heads")

        def parameter(*shape):
            return Parameter(ops.empty(shape, device=device, dtype=dtype))

        if self._qkv_same_embed_dim:
            self.in_proj_weight = parameter(3 * embed_dim, embed_dim)
            for name in ("q_proj_weight", "k_proj_weight", "v_proj_weight"):
                self.register_parameter(name, None)
        else:
            self.q_proj_weight = parameter(embed_dim, embed_dim)
            self.k_proj_weight = parameter(embed_dim, self.kdim)
            self.v_proj_weight = parameter(embed_dim, self.vdim)
            self.register_parameter("in_proj_weight", None)
        self.register_parameter("in_proj_bias", parameter(3 * embed_dim) if bias else None)
        self.out_proj = NonDynamicallyQuantizableLinear(
            embed_dim, embed_dim, bias=bias, device=device, dtype=dtype
        )
        if add_bias_kv:
            self.bias_k = parameter(1, 1, embed_dim)
            self.bias_v = parameter(1, 1, embed_dim)
        else:
            self.bias_k = self.bias_v = None
        self.add_zero_attn = add_zero_attn
        self._reset_parameters()

    def _reset_parameters(self):
        if self._qkv_same_embed_dim:
            init.xavier_uniform_(self.in_proj_weight)
        else:
            init.xavier_uniform_(self.q_proj_weight)
            init.xavier_uniform_(self.k_proj_weight)
            init.xavier_uniform_(self.v_proj_weight)
        if self.in_proj_bias is not None:
            init.constant_(self.in_proj_bias, 0.0)
            init.constant_(self.out_proj.bias, 0.0)
        if self.bias_k is not None:
            init.xavier_normal_(self.bias_k)
        if self.bias_v is not None:
            init.xavier_normal_(self.bias_v)

    def __setstate__(self, state):
        super().__setstate__(state)
        self.__dict__.setdefault("_qkv_same_embed_dim", True)

    def forward(
        self,
        query,
        key,
        value,
        key_padding_mask=None,
        need_weights=True,
        attn_mask=None,
        average_attn_weights=True,
        is_causal=False,
    ):
        """Attend from ``query`` to ``key`` and ``value``.

        Args:
            key_padding_mask: (N, S) or (S), True (or -inf) where a key is padding.
            need_weights: return the attention weights as well, otherwise None.
            attn_mask: (L, S) or (N num_heads, L, S), True (or -inf) where attention is not
                allowed; numbers are added to the scores.
            average_attn_weights: average the weights over the heads.
            is_causal: says that ``attn_mask`` is the causal mask.
        """
        batched = query.dim() == 3
        transpose = self.batch_first and batched
        key_padding_mask = additive_mask(
            key_padding_mask, "key_padding_mask", query.dtype, attn_mask, "attn_mask"
        )
        attn_mask = additive_mask(attn_mask, "attn_mask", query.dtype)
        if transpose:
            # The same tensor stays the same tensor: self-attention projects it only once.
            flipped = {id(each): each.transpose(1, 0) for each in (query, key, value)}
            query, key, value = (flipped[id(each)] for each in (query, key, value))
        output, weights = F.multi_head_attention_forward(
            query,
            key,
            value,
            self.embed_dim,
            self.num_heads,
            self.in_proj_weight,
            self.in_proj_bias,
            self.bias_k,
            self.bias_v,
            self.add_zero_attn,
            self.dropout,
            self.out_proj.weight,
            self.out_proj.bias,
            training=self.training,
            key_padding_mask=key_padding_mask,
            need_weights=need_weights,
            attn_mask=attn_mask,
            use_separate_proj_weight=not self._qkv_same_embed_dim,
            q_proj_weight=self.q_proj_weight,
            k_proj_weight=self.k_proj_weight,
            v_proj_weight=self.v_proj_weight,
            average_attn_weights=average_attn_weights,
            is_causal=is_causal,
        )
        return (output.transpose(1, 0), weights) if transpose else (output, weights)
