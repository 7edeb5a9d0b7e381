"""Layers as they start: the checksum of every parameter and buffer, and the generator's state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.goldens.values import checksum, described

SEED = 7

LAYERS = (
    "Linear(10, 7)",
    "Linear(10, 7, bias=False)",
    "Linear(1, 1)",
    "Linear(300, 200, dtype=torch.float64)",
    "Linear(30, 20, dtype=torch.bfloat16)",
    "Linear(30, 20, dtype=torch.float16)",
    "Bilinear(3, 4, 5)",
    "Bilinear(3, 4, 5, bias=False)",
    "Embedding(11, 6)",
    "Embedding(11, 6, padding_idx=2)",
    "Embedding(11, 6, padding_idx=-1, max_norm=1.0)",
    "EmbeddingBag(11, 6, mode='sum')",
    "EmbeddingBag(11, 6, mode='max', padding_idx=3)",
    "Conv1d(4, 8, 3)",
    "Conv1d(4, 8, 3, bias=False, padding='same', padding_mode='reflect')",
    "Conv2d(4, 8, 3)",
    "Conv2d(4, 8, 3, groups=2)",
    "Conv2d(4, 8, (3, 5), stride=2, padding=1, dilation=2, bias=False)",
    "Conv2d(3, 64, 7)",
    "Conv3d(2, 4, (1, 2, 3))",
    "ConvTranspose1d(4, 6, 3)",
    "ConvTranspose2d(4, 6, 3)",
    "ConvTranspose2d(4, 6, 3, groups=2, output_padding=1, stride=2, bias=False)",
    "ConvTranspose3d(2, 4, 3)",
    "BatchNorm1d(4)",
    "BatchNorm2d(4, affine=False)",
    "BatchNorm3d(4, track_running_stats=False)",
    "SyncBatchNorm(4)",
    "InstanceNorm1d(4)",
    "InstanceNorm2d(4, affine=True, track_running_stats=True)",
    "InstanceNorm3d(4, affine=True)",
    "LayerNorm(5)",
    "LayerNorm((3, 5), bias=False)",
    "GroupNorm(2, 4)",
    "RMSNorm(6)",
    "PReLU()",
    "PReLU(5, init=0.1)",
    *(
        f"{kind}({arguments})"
        for kind in ("RNN", "LSTM", "GRU")
        for arguments in (
            "5, 7",
            "5, 7, 2",
            "5, 7, bias=False",
            "5, 7, 2, bidirectional=True, dropout=0.1, batch_first=True",
        )
    ),
    "RNN(5, 7, nonlinearity='relu')",
    "LSTM(5, 7, proj_size=3)",
    "LSTM(5, 7, 2, proj_size=3, bidirectional=True)",
    "RNNCell(5, 7)",
    "LSTMCell(5, 7)",
    "GRUCell(5, 7, bias=False)",
    "MultiheadAttention(8, 2)",
    "MultiheadAttention(8, 2, bias=False)",
    "MultiheadAttention(8, 2, kdim=3, vdim=5)",
    "MultiheadAttention(8, 2, add_bias_kv=True, add_zero_attn=True, batch_first=True)",
    "TransformerEncoderLayer(8, 2, 16)",
    "TransformerEncoderLayer(8, 2, 16, norm_first=True, activation='gelu', bias=False)",
    "TransformerDecoderLayer(8, 2, 16)",
    "TransformerDecoderLayer(8, 2, 16, batch_first=True, bias=False)",
    "TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16), 2, enable_nested_tensor=False)",
    "TransformerDecoder(nn.TransformerDecoderLayer(8, 2, 16), 2, nn.LayerNorm(8))",
    "Transformer(8, 2, 1, 2, 16)",
    "Transformer(8, 2, 1, 1, 16, batch_first=True, norm_first=True)",
    "AdaptiveLogSoftmaxWithLoss(8, 20, [4, 10])",
    "AdaptiveLogSoftmaxWithLoss(8, 20, [4], div_value=2.0, head_bias=True)",
    "Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(32, 10))",
    "ModuleList([nn.Linear(3, 3), nn.Embedding(4, 3), nn.GRU(3, 3)])",
    "ModuleDict({'b': nn.Linear(3, 3), 'a': nn.Linear(3, 3)})",
)

LAZY = {
    "LazyLinear(7)": (2, 5),
    "LazyConv1d(8, 3)": (2, 4, 9),
    "LazyConv2d(8, 3, bias=False)": (2, 4, 9, 9),
    "LazyConv3d(8, 2)": (2, 3, 4, 4, 4),
    "LazyConvTranspose1d(8, 3)": (2, 4, 9),
    "LazyConvTranspose2d(8, 3)": (2, 4, 5, 5),
    "LazyConvTranspose3d(4, 2)": (2, 3, 4, 4, 4),
    "LazyBatchNorm1d()": (2, 4, 9),
    "LazyBatchNorm2d()": (2, 4, 5, 5),
    "LazyInstanceNorm2d(affine=True)": (2, 4, 5, 5),
}

# their weights are computed from random ones, by matrix products: no checksum holds for them
COMPUTED = (
    "utils.spectral_norm(nn.Linear(5, 4))",
    "utils.weight_norm(nn.Linear(5, 4))",
    "utils.weight_norm(nn.Conv2d(3, 4, 2), dim=None)",
    "utils.parametrizations.spectral_norm(nn.Linear(5, 4))",
    "utils.parametrizations.spectral_norm(nn.Conv2d(3, 4, 2), n_power_iterations=3)",
    "utils.parametrizations.spectral_norm(nn.ConvTranspose2d(3, 4, 2))",
    "utils.parametrizations.weight_norm(nn.Linear(5, 4))",
    "utils.parametrizations.orthogonal(nn.Linear(5, 4))",
    "utils.parametrizations.orthogonal(nn.Linear(4, 5), orthogonal_map='householder')",
    "utils.parametrizations.orthogonal(nn.Linear(4, 5), orthogonal_map='cayley')",
    "utils.parametrizations.orthogonal(nn.Linear(4, 4))",
    "utils.parametrizations.orthogonal(nn.Linear(4, 6), 'weight', 'matrix_exp')",
    "utils.parametrizations.orthogonal(nn.Linear(4, 6), use_trivialization=False)",
)


def started(torch: Any, expression: str) -> Any:
    """The layer, made after seeding."""
    torch.manual_seed(SEED)
    return eval(f"nn.{expression}", {"torch": torch, "nn": torch.nn})


def sums(torch: Any, layer: Any) -> dict[str, Any]:
    """Checksums of all that a layer holds, and of the generator's state."""
    state = {
        name: [list(value.shape), str(value.dtype), checksum(torch, value)]
        for name, value in layer.state_dict().items()
    }
    return {"state_dict": state, "generator": checksum(torch, torch.get_rng_state())}


def known_at_first_input(torch: Any, expression: str, shape: tuple[int, ...]) -> dict[str, Any]:
    """A lazy layer after its first input."""
    layer = started(torch, expression)
    layer(torch.zeros(shape))
    return sums(torch, layer)


def computed(torch: Any, expression: str) -> dict[str, Any]:
    """The numbers that a layer holds, and the weight that it makes of them."""
    layer = started(torch, expression)
    state = {name: described(torch, value) for name, value in layer.state_dict().items()}
    return {**state, "weight": described(torch, layer.weight)}


def tolerances(case: str) -> dict[str, float]:
    """Matrix products, norms and LAPACK round differently on each processor."""
    return {"absolute": 2e-6} if case in COMPUTED else {}


def cases(torch: Any) -> dict[str, Callable[[], Any]]:
    """All of them."""
    table: dict[str, Callable[[], Any]] = {
        each: lambda each=each: sums(torch, started(torch, each)) for each in LAYERS
    }
    for each, shape in LAZY.items():
        table[each] = lambda each=each, shape=shape: known_at_first_input(torch, each, shape)
    for each in COMPUTED:
        table[each] = lambda each=each: computed(torch, each)
    return table
