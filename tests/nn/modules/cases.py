"""Constructor arguments and inputs of every layer, for the contract tests."""

from dataclasses import dataclass, field

import numpy as np


@dataclass
class Case:
    """One way to build and call a layer."""

    arguments: tuple
    options: dict = field(default_factory=dict)
    inputs: tuple = ()
    call_options: dict = field(default_factory=dict)
    differentiable: bool = True


@dataclass(frozen=True)
class Values:
    """A description of an input array; plain tuples are shapes of normal numbers."""

    kind: str
    shape: tuple
    high: int = 0

    def draw(self, random):
        if self.kind == "integers":
            return random.integers(0, self.high, self.shape)
        if self.kind == "signs":
            return np.where(random.random(self.shape) < 0.5, -1.0, 1.0).astype(np.float32)
        if self.kind == "mask":
            return random.random(self.shape) < 0.3
        values = random.random(self.shape).astype(np.float32) * 0.8 + 0.1
        if self.kind == "distribution":
            return values / values.sum(1, keepdims=True)
        return np.log(values) if self.kind == "logarithms" else values


def integers(high, *shape):
    return Values("integers", shape, high)


def signs(*shape):
    return Values("signs", shape)


def between_zero_and_one(*shape):
    return Values("probabilities", shape)


def distribution(*shape):
    return Values("distribution", shape)


def logarithms(*shape):
    return Values("logarithms", shape)


def mask(*shape):
    return Values("mask", shape)


def case(*arguments, inputs=((2, 3, 8),), call_options=None, differentiable=True, **options):
    return Case(arguments, options, tuple(inputs), call_options or {}, differentiable)


SIGNAL = ((2, 4, 9),)
IMAGE = ((2, 4, 8, 7),)
VOLUME = ((2, 4, 6, 5, 7),)
SPACE = {1: SIGNAL, 2: IMAGE, 3: VOLUME}

CASES = {
    "Identity": [case(), case(1, 2, name="unused")],
    "Linear": [case(8, 5), case(8, 5, bias=False, inputs=[(8,)])],
    "Bilinear": [case(3, 4, 5, inputs=[(2, 3), (2, 4)]), case(3, 4, 5, False, inputs=[(3,), (4,)])],
    "LazyLinear": [case(5), case(5, bias=False)],
    "Flatten": [case(), case(0, 1)],
    "Unflatten": [case(1, (3, 1)), case(-1, [2, 4])],
    "Threshold": [case(0.1, 20.0), case(0.1, 5)],
    "RReLU": [case(), case(0.1, 0.5)],
    "Hardtanh": [case(), case(-2, 0.5)],
    "GELU": [case(), case("tanh")],
    "GLU": [case(), case(2)],
    "ELU": [case(), case(0.5)],
    "CELU": [case(), case(0.5)],
    "LeakyReLU": [case(), case(0.2)],
    "Hardshrink": [case(), case(0.3)],
    "Softshrink": [case(), case(0.3)],
    "Softplus": [case(), case(2, 5)],
    "PReLU": [case(), case(3, 0.1)],
    "Softmax2d": [case(inputs=[(2, 3, 4, 5)])],
    "Softmax": [case(1), case(dim=-1)],
    "Softmin": [case(1)],
    "LogSoftmax": [case(1)],
    "Dropout": [case(), case(0.2), case(0.0)],
    "Dropout1d": [case(), case(0.2)],
    "Dropout2d": [case(0.3, inputs=IMAGE)],
    "Dropout3d": [case(0.3, inputs=VOLUME)],
    "AlphaDropout": [case(), case(0.2)],
    "FeatureAlphaDropout": [case(), case(0.2)],
    "LayerNorm": [
        case(8),
        case((3, 8)),
        case([3, 8], 1e-3, bias=False),
        case(8, elementwise_affine=False),
    ],
    "GroupNorm": [case(3, 3), case(1, 3, affine=False), case(3, 3, bias=False)],
    "RMSNorm": [case(8), case((3, 8), 1e-3), case(8, elementwise_affine=False)],
    "LocalResponseNorm": [case(2), case(3, 1e-2, 0.5, 2.0)],
    # PyTorch's gradient is not that of its own forward, which keeps the first channel.
    "CrossMapLRN2d": [
        case(3, inputs=IMAGE, differentiable=False),
        case(5, 1e-2, 0.5, 2, inputs=IMAGE, differentiable=False),
        case(4, 1e-2, 0.5, 2, inputs=[(2, 9, 3, 3)], differentiable=False),
    ],
    "Embedding": [
        case(10, 4, inputs=[integers(10, 2, 3)]),
        case(10, 4, padding_idx=-2, inputs=[integers(10, 2, 3)]),
        case(10, 4, max_norm=1.0, norm_type=1.5, inputs=[integers(10, 2, 3)]),
        case(10, 4, scale_grad_by_freq=True, inputs=[integers(3, 5)]),
    ],
    "EmbeddingBag": [
        case(10, 4, inputs=[integers(10, 2, 3)]),
        case(10, 4, mode="sum", padding_idx=1, inputs=[integers(10, 2, 3)]),
        case(10, 4, mode="max", inputs=[integers(10, 2, 3)]),
    ],
    "CosineSimilarity": [case(inputs=[(2, 5), (2, 5)]), case(0, inputs=[(2, 5), (2, 5)])],
    "PairwiseDistance": [case(inputs=[(2, 5), (2, 5)]), case(1, inputs=[(2, 5), (2, 5)])],
    "PixelShuffle": [case(2, inputs=IMAGE)],
    "PixelUnshuffle": [case(2, inputs=[(2, 1, 4, 6)])],
    "ChannelShuffle": [case(2, inputs=IMAGE)],
    "Fold": [case((4, 5), (2, 2), inputs=[(2, 12, 12)])],
    "Unfold": [case((2, 3), inputs=IMAGE), case(2, 1, 1, 2, inputs=IMAGE)],
    "Upsample": [
        case(scale_factor=2),
        case(11, mode="linear"),
        case((9, 5), mode="bilinear", inputs=IMAGE),
        case(scale_factor=(2, 1.5), mode="bicubic", align_corners=True, inputs=IMAGE),
        case(scale_factor=2, mode="trilinear", inputs=VOLUME),
    ],
    "UpsamplingNearest2d": [case(scale_factor=2, inputs=IMAGE)],
    "UpsamplingBilinear2d": [case((10, 9), inputs=IMAGE)],
    "AdaptiveLogSoftmaxWithLoss": [
        case(8, 10, [4, 7], inputs=[(5, 8), integers(10, 5)]),
        case(8, 10, [2], 2.0, True, inputs=[(8,), integers(10)]),
    ],
    "MultiheadAttention": [
        case(8, 2, inputs=[(5, 3, 8)] * 3),
        case(8, 2, batch_first=True, bias=False, inputs=[(3, 4, 8), (3, 5, 8), (3, 5, 8)]),
        case(8, 2, kdim=6, vdim=7, inputs=[(4, 3, 8), (5, 3, 6), (5, 3, 7)]),
        case(8, 2, add_bias_kv=True, add_zero_attn=True, inputs=[(4, 8), (5, 8), (5, 8)]),
    ],
    "TransformerEncoderLayer": [
        case(8, 2, 16, 0.0, inputs=[(5, 3, 8)]),
        case(8, 2, 16, 0.0, "gelu", norm_first=True, batch_first=True, inputs=[(3, 5, 8)]),
        case(8, 2, 16, 0.1, bias=False, inputs=[(5, 3, 8)]),
    ],
    "TransformerDecoderLayer": [
        case(8, 2, 16, 0.0, inputs=[(5, 3, 8), (4, 3, 8)]),
        case(8, 2, 16, 0.0, norm_first=True, batch_first=True, inputs=[(3, 5, 8), (3, 4, 8)]),
    ],
    "Transformer": [case(8, 2, 1, 2, 16, 0.0, batch_first=True, inputs=[(3, 5, 8), (3, 4, 8)])],
    "RNN": [
        case(8, 5),
        case(8, 5, 2, nonlinearity="relu", bidirectional=True, batch_first=True),
        case(8, 5, 2, "tanh", False, inputs=[(3, 8)]),
    ],
    "LSTM": [
        case(8, 5),
        case(8, 5, num_layers=2, bidirectional=True, batch_first=True),
        case(8, 5, proj_size=2, bias=False),
    ],
    "GRU": [case(8, 5), case(8, 5, num_layers=2, bidirectional=True, batch_first=True)],
    "RNNCell": [case(8, 5, inputs=[(3, 8)]), case(8, 5, False, "relu", inputs=[(3, 8), (3, 5)])],
    "LSTMCell": [case(8, 5, inputs=[(3, 8)]), case(8, 5, bias=False, inputs=[(8,)])],
    "GRUCell": [case(8, 5, inputs=[(3, 8), (3, 5)]), case(8, 5, False, inputs=[(8,)])],
    "L1Loss": [case(inputs=[(3, 4), (3, 4)]), case(reduction="sum", inputs=[(3, 4), (3, 4)])],
    "MSELoss": [case(inputs=[(3, 4), (3, 4)]), case(reduction="none", inputs=[(3, 4), (3, 4)])],
    "SmoothL1Loss": [case(beta=0.5, inputs=[(3, 4), (3, 4)])],
    "HuberLoss": [case(delta=0.5, inputs=[(3, 4), (3, 4)])],
    "NLLLoss": [
        case(inputs=[(3, 4), integers(4, 3)]),
        case(ignore_index=1, reduction="sum", inputs=[(3, 4, 2), integers(4, 3, 2)]),
    ],
    "CrossEntropyLoss": [
        case(inputs=[(3, 4), integers(4, 3)]),
        case(label_smoothing=0.1, ignore_index=2, inputs=[(3, 4), integers(4, 3)]),
        case(inputs=[(3, 4), distribution(3, 4)]),
    ],
    "BCELoss": [case(inputs=[between_zero_and_one(3, 4), between_zero_and_one(3, 4)])],
    "BCEWithLogitsLoss": [case(inputs=[(3, 4), between_zero_and_one(3, 4)])],
    "PoissonNLLLoss": [
        case(inputs=[(3, 4), integers(5, 3, 4)]),
        case(False, True, inputs=[between_zero_and_one(3, 4), integers(5, 3, 4)]),
    ],
    "GaussianNLLLoss": [
        case(inputs=[(3, 4), (3, 4), between_zero_and_one(3, 4)]),
        case(full=True, inputs=[(3, 4), (3, 4), between_zero_and_one(3, 1)]),
        case(inputs=[(3, 4), (3, 4), between_zero_and_one(1, 4)]),
    ],
    "KLDivLoss": [
        case(reduction="batchmean", inputs=[logarithms(3, 4), distribution(3, 4)]),
        case(log_target=True, reduction="sum", inputs=[logarithms(3, 4), logarithms(3, 4)]),
    ],
    "CTCLoss": [],
    "HingeEmbeddingLoss": [case(inputs=[(3, 4), signs(3, 4)])],
    "SoftMarginLoss": [case(inputs=[(3, 4), signs(3, 4)], differentiable=False)],
    "MultiLabelMarginLoss": [case(inputs=[(3, 4), integers(4, 3, 4)])],
    "MultiLabelSoftMarginLoss": [case(inputs=[(3, 4), integers(2, 3, 4)])],
    "MultiMarginLoss": [
        case(inputs=[(3, 4), integers(4, 3)]),
        case(2, 0.5, inputs=[(4,), integers(4)]),
    ],
    "CosineEmbeddingLoss": [case(0.1, inputs=[(3, 4), (3, 4), signs(3)])],
    "MarginRankingLoss": [case(0.1, inputs=[(3,), (3,), signs(3)])],
    "TripletMarginLoss": [case(inputs=[(3, 4)] * 3), case(0.5, 1, swap=True, inputs=[(3, 4)] * 3)],
    "TripletMarginWithDistanceLoss": [case(inputs=[(3, 4)] * 3)],
    "DataParallel": [],
    "TransformerDecoder": [],
    "TransformerEncoder": [],
    "SyncBatchNorm": [],
    "NLLLoss2d": [],
}

for _name in (
    "ReLU ReLU6 Sigmoid Hardsigmoid Tanh SiLU Mish Hardswish SELU LogSigmoid Softsign Tanhshrink"
).split():
    CASES[_name] = [case()]
for _name in "ReLU ReLU6 SiLU SELU Hardswish Hardsigmoid Mish Dropout LeakyReLU ELU".split():
    CASES[_name].append(case(inplace=True, differentiable=False))

for _dims, _inputs in SPACE.items():
    _unbatched = (_inputs[0][1:],)
    CASES[f"Conv{_dims}d"] = [
        case(4, 6, 3, inputs=_inputs),
        case(4, 6, 3, 2, 1, 2, 2, False, inputs=_inputs),
        case(4, 6, 3, padding="same", dilation=2, inputs=_inputs),
        case(4, 2, 2, padding="same", padding_mode="circular", inputs=_inputs),
        case(4, 6, 3, padding=1, padding_mode="reflect", inputs=_unbatched),
        case(4, 6, 3, padding=2, padding_mode="replicate", inputs=_inputs),
        case(4, 6, 1, padding="valid", inputs=_unbatched),
    ]
    CASES[f"ConvTranspose{_dims}d"] = [
        case(4, 6, 3, inputs=_inputs),
        case(4, 6, 3, 2, 1, 1, 2, False, 2, inputs=_unbatched),
    ]
    CASES[f"LazyConv{_dims}d"] = [
        case(6, 3, inputs=_inputs),
        case(6, 3, 2, 1, bias=False, inputs=_inputs),
    ]
    CASES[f"LazyConvTranspose{_dims}d"] = [case(6, 3, inputs=_inputs)]
    CASES[f"BatchNorm{_dims}d"] = [
        case(4, inputs=_inputs),
        case(4, 1e-3, None, inputs=_inputs),
        case(4, affine=False, track_running_stats=False, inputs=_inputs),
        case(4, bias=False, inputs=_inputs),
    ]
    CASES[f"LazyBatchNorm{_dims}d"] = [case(inputs=_inputs), case(affine=False, inputs=_inputs)]
    CASES[f"InstanceNorm{_dims}d"] = [
        case(4, inputs=_inputs),
        case(4, affine=True, track_running_stats=True, inputs=_inputs),
        case(4, inputs=_unbatched),
    ]
    CASES[f"LazyInstanceNorm{_dims}d"] = [case(inputs=_inputs)]
    CASES[f"MaxPool{_dims}d"] = [
        case(2, inputs=_inputs),
        case(3, 2, 1, ceil_mode=True, inputs=_unbatched),
        case(2, 1, dilation=2, return_indices=True, inputs=_inputs),
    ]
    CASES[f"AvgPool{_dims}d"] = [
        case(2, inputs=_inputs),
        case(3, 2, 1, True, False, inputs=_unbatched),
    ]
    CASES[f"LPPool{_dims}d"] = [case(2, 2, inputs=_inputs), case(1.5, 3, 2, inputs=_inputs)]
    CASES[f"AdaptiveAvgPool{_dims}d"] = [case(3, inputs=_inputs), case(1, inputs=_unbatched)]
    CASES[f"AdaptiveMaxPool{_dims}d"] = [case(3, inputs=_inputs), case(2, True, inputs=_inputs)]
    CASES[f"MaxUnpool{_dims}d"] = [case(2), case(3, 2, 1)]
    for _kind in ("Circular", "Reflection", "Replication", "Zero"):
        CASES[f"{_kind}Pad{_dims}d"] = [
            case(2, inputs=_inputs),
            case((1, 2) * _dims, inputs=_unbatched),
        ]
    CASES[f"ConstantPad{_dims}d"] = [
        case(2, 3.5, inputs=_inputs),
        case((1, 0) * _dims, 1, inputs=_inputs),
    ]

for _dims in (2, 3):
    CASES[f"FractionalMaxPool{_dims}d"] = [
        case(2, output_size=3, inputs=SPACE[_dims]),
        case(2, output_ratio=0.5, return_indices=True, inputs=SPACE[_dims]),
    ]
    CASES[f"AvgPool{_dims}d"].append(case(2, divisor_override=3, inputs=SPACE[_dims]))
for _dims in (1, 2, 3):
    for _case in CASES[f"MaxUnpool{_dims}d"]:
        _case.inputs = ()
