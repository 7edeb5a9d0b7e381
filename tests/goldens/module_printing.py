"""How every module of torch.nn and every optimizer prints: expressions, shown by `repr`."""

from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

PLAIN = """
Identity() | Identity(54, unused=True)
Linear(3, 4) | Linear(3, 4, bias=False) | Bilinear(2, 3, 4) | Bilinear(2, 3, 4, bias=False)
LazyLinear(4) | LazyLinear(4, bias=False)
Flatten() | Flatten(0, 2) | Unflatten(1, (2, 3)) | Unflatten(1, torch.Size([2, 3]))

Conv1d(3, 4, 5) | Conv2d(3, 4, 5) | Conv3d(3, 4, 5)
Conv1d(4, 8, (3,), stride=2, padding=1, dilation=2, groups=2, bias=False)
Conv1d(1, 2, 3, padding="same") | Conv1d(1, 2, 3, padding=1, padding_mode="circular")
Conv2d(4, 8, (3, 5), stride=(2, 1), padding=(1, 2), dilation=(1, 2), groups=4, bias=False)
Conv2d(3, 4, 3, padding="same", padding_mode="reflect") | Conv2d(3, 4, 3, padding="valid")
Conv2d(3, 4, 3, padding=1, padding_mode="zeros", dtype=torch.float64)
Conv3d(2, 2, (1, 2, 3), stride=2, padding=1, padding_mode="replicate")
ConvTranspose1d(3, 4, 5) | ConvTranspose2d(3, 4, 5) | ConvTranspose3d(3, 4, 5)
ConvTranspose1d(4, 4, 3, stride=2, padding=1, output_padding=1, groups=2, bias=False, dilation=3)
ConvTranspose2d(4, 4, 3, stride=2, padding=1, output_padding=1, groups=2, dilation=3)
ConvTranspose3d(2, 2, (1, 2, 3), stride=(2, 2, 1), output_padding=(1, 0, 0), bias=False)
LazyConv1d(4, 3) | LazyConv2d(4, 3) | LazyConv3d(4, 3)
LazyConv2d(4, (3, 1), stride=2, padding=1, groups=2, bias=False, padding_mode="reflect")
LazyConvTranspose1d(4, 3) | LazyConvTranspose2d(4, 3) | LazyConvTranspose3d(4, 3)
LazyConvTranspose2d(4, 3, stride=2, output_padding=1)
Fold(4, 2) | Fold((4, 5), (2, 3), dilation=2, padding=1, stride=2)
Unfold(2) | Unfold((2, 3), dilation=2, padding=1, stride=(2, 1))

MaxPool1d(3) | MaxPool1d(3, stride=2, padding=1, dilation=2, return_indices=True, ceil_mode=True)
MaxPool2d(2) | MaxPool2d((3, 2), stride=(2, 1), padding=(0, 1)) | MaxPool2d(2, 2, ceil_mode=True)
MaxPool3d(2) | MaxPool3d((3, 2, 2), stride=(2, 1, 2), padding=1, dilation=1, return_indices=True)
MaxUnpool1d(2) | MaxUnpool1d(3, stride=2, padding=1) | MaxUnpool2d(2) | MaxUnpool2d((3, 2), 2)
MaxUnpool3d(2) | MaxUnpool3d((3, 2, 2), stride=(2, 1, 2), padding=1)
AvgPool1d(3) | AvgPool1d(3, stride=2, padding=1, ceil_mode=True, count_include_pad=False)
AvgPool2d(2) | AvgPool2d((3, 2), stride=(2, 1), padding=(0, 1), divisor_override=3)
AvgPool3d(2) | AvgPool3d((3, 2, 2), stride=(2, 1, 2), padding=1, ceil_mode=True)
LPPool1d(2, 3) | LPPool1d(1.5, 3, stride=2, ceil_mode=True) | LPPool2d(2, 3)
LPPool2d(1, (3, 2), 2)
LPPool3d(2, 3) | LPPool3d(1.2, (1, 1, 2), stride=2)
FractionalMaxPool2d(3, output_size=(13, 12)) | FractionalMaxPool2d(2, output_ratio=0.5)
FractionalMaxPool3d(3, output_size=13)
FractionalMaxPool3d((2, 2, 1), output_ratio=(0.5, 0.5, 0.5))
AdaptiveAvgPool1d(5) | AdaptiveAvgPool2d((5, 7)) | AdaptiveAvgPool2d((None, 7))
AdaptiveAvgPool3d(2)
AdaptiveMaxPool1d(5) | AdaptiveMaxPool1d(5, return_indices=True) | AdaptiveMaxPool2d((5, 7))
AdaptiveMaxPool2d(1) | AdaptiveMaxPool3d((5, None, 2))
ConstantPad1d(2, 3.5) | ConstantPad1d((3, 1), 0) | ConstantPad2d((3, 0, 2, 1), 3.5)
ConstantPad3d((3, 3, 6, 6, 0, 1), 3.5) | ZeroPad1d(2) | ZeroPad1d((3, 1)) | ZeroPad2d((1, 1, 2, 0))
ZeroPad3d(3) | CircularPad1d(2) | CircularPad2d((1, 1, 2, 0)) | CircularPad3d(3)
ReflectionPad1d(2) | ReflectionPad2d((1, 1, 2, 0)) | ReflectionPad3d(1)
ReplicationPad1d((3, 1)) | ReplicationPad2d(2) | ReplicationPad3d((3, 3, 6, 6, 1, 1))
Upsample(size=4) | Upsample(size=(4, 5), mode="bilinear") | Upsample(scale_factor=2)
Upsample(scale_factor=2, mode="nearest") | Upsample(scale_factor=(2, 3.5), mode="bicubic")
Upsample(scale_factor=2, mode="trilinear", align_corners=True) | UpsamplingNearest2d(scale_factor=2)
UpsamplingNearest2d(size=7) | UpsamplingBilinear2d(size=(3, 4))
UpsamplingBilinear2d(scale_factor=3)
PixelShuffle(3) | PixelUnshuffle(2) | ChannelShuffle(2)

BatchNorm1d(5) | BatchNorm2d(5) | BatchNorm3d(5) | BatchNorm2d(5, eps=1e-3, momentum=None)
BatchNorm1d(5, affine=False) | BatchNorm2d(5, momentum=0.01, track_running_stats=False)
BatchNorm2d(5, bias=False) | InstanceNorm2d(5, affine=True, bias=False)
GroupNorm(2, 4, bias=False)
LazyBatchNorm1d() | LazyBatchNorm2d(eps=1e-3) | LazyBatchNorm3d(affine=False) | SyncBatchNorm(7)
InstanceNorm1d(5) | InstanceNorm2d(5, affine=True) | InstanceNorm3d(5, track_running_stats=True)
LazyInstanceNorm1d() | LazyInstanceNorm2d(momentum=0.2) | LazyInstanceNorm3d(affine=True)
LayerNorm(5) | LayerNorm((2, 3), eps=1e-3) | LayerNorm([4], elementwise_affine=False)
LayerNorm(4, bias=False) | RMSNorm(5) | RMSNorm((2, 3), eps=1e-3)
RMSNorm(4, elementwise_affine=False)
GroupNorm(2, 4) | GroupNorm(1, 4, eps=1e-3, affine=False)
LocalResponseNorm(2) | LocalResponseNorm(5, alpha=1e-3, beta=0.5, k=2) | CrossMapLRN2d(5)
CrossMapLRN2d(3, alpha=0.5, beta=0.25, k=2)

ReLU() | ReLU(inplace=True) | ReLU6() | ReLU6(inplace=True) | ELU() | ELU(alpha=2, inplace=True)
CELU() | CELU(0.5, True) | SELU() | SELU(inplace=True) | GELU() | GELU("tanh") | GLU() | GLU(1)
Hardshrink() | Hardshrink(0.3) | Hardsigmoid() | Hardsigmoid(True) | Hardswish() | Hardswish(True)
Hardtanh() | Hardtanh(-2, 2.0, inplace=True) | LeakyReLU() | LeakyReLU(0.2, inplace=True)
LogSigmoid()
LogSoftmax() | LogSoftmax(dim=1) | Softmax() | Softmax(dim=-1) | Softmin() | Softmin(1)
Softmax2d()
Mish() | Mish(inplace=True) | PReLU() | PReLU(7) | RReLU() | RReLU(0.1, 0.3, inplace=True)
Sigmoid() | SiLU() | SiLU(inplace=True) | Softplus() | Softplus(2, 10) | Softshrink()
Softshrink(0.3)
Softsign() | Tanh() | Tanhshrink() | Threshold(0.1, 20) | Threshold(1, 2, inplace=True)
Dropout() | Dropout(0.2, inplace=True) | Dropout1d() | Dropout2d(p=0) | Dropout3d(1.0)
AlphaDropout(0.1) | FeatureAlphaDropout(0.1, True)

Embedding(10, 3) | Embedding(10, 3, padding_idx=-1) | Embedding(10, 3, max_norm=1.5, norm_type=1)
Embedding(10, 3, scale_grad_by_freq=True, sparse=True) | Embedding.from_pretrained(torch.ones(2, 3))
EmbeddingBag(10, 3) | EmbeddingBag(10, 3, mode="sum", padding_idx=2, include_last_offset=True)
EmbeddingBag(10, 3, max_norm=2, norm_type=1, scale_grad_by_freq=True, mode="max")
RNN(3, 4) | RNN(3, 4, 2, nonlinearity="relu", bias=False, batch_first=True, bidirectional=True)
LSTM(3, 4) | LSTM(3, 4, num_layers=2, dropout=0.5, proj_size=2) | GRU(3, 4)
GRU(3, 4, batch_first=True)
RNNCell(3, 4) | RNNCell(3, 4, nonlinearity="relu", bias=False) | LSTMCell(3, 4, bias=False)
GRUCell(3, 4) | RNNBase("GRU", 3, 4, bidirectional=True) | RNNCellBase(3, 4, True, 2)
MultiheadAttention(4, 2) | MultiheadAttention(4, 2, dropout=0.1, bias=False, kdim=3, vdim=5)
MultiheadAttention(4, 1, add_bias_kv=True, add_zero_attn=True, batch_first=True)
TransformerEncoderLayer(4, 2) | TransformerDecoderLayer(4, 2, 8, dropout=0.2, activation="gelu")
TransformerEncoderLayer(4, 2, 8, norm_first=True, batch_first=True, bias=False)
TransformerEncoder(TransformerEncoderLayer(4, 2, 8, batch_first=True), 3)
TransformerEncoder(TransformerEncoderLayer(4, 2, 8, batch_first=True), 1, norm=LayerNorm(4))
TransformerDecoder(TransformerDecoderLayer(4, 2, 8), 2, norm=LayerNorm(4))
Transformer(8, 2, 2, 3, 16, batch_first=True) | Transformer(4, 1, 1, 1, 8, activation="gelu")

L1Loss() | MSELoss() | MSELoss(reduction="sum") | SmoothL1Loss() | SmoothL1Loss(beta=2.0)
HuberLoss()
CrossEntropyLoss() | CrossEntropyLoss(torch.ones(2), ignore_index=1, label_smoothing=0.1)
NLLLoss()
NLLLoss2d() | BCELoss() | BCELoss(torch.ones(2)) | BCEWithLogitsLoss(pos_weight=torch.ones(2))
BCEWithLogitsLoss() | KLDivLoss(reduction="batchmean", log_target=True) | PoissonNLLLoss(full=True)
GaussianNLLLoss() | GaussianNLLLoss(full=True, eps=1e-5) | CTCLoss()
CTCLoss(1, zero_infinity=True)
CosineEmbeddingLoss(0.5) | HingeEmbeddingLoss() | MarginRankingLoss(1.0) | MultiLabelMarginLoss()
MultiLabelSoftMarginLoss() | MultiLabelSoftMarginLoss(torch.ones(2)) | MultiMarginLoss()
MultiMarginLoss(2, 0.5, torch.ones(2)) | SoftMarginLoss() | TripletMarginLoss(swap=True, p=1)
TripletMarginWithDistanceLoss()
TripletMarginWithDistanceLoss(distance_function=PairwiseDistance())
PairwiseDistance() | PairwiseDistance(1, keepdim=True) | CosineSimilarity()
CosineSimilarity(0, 1e-6)
AdaptiveLogSoftmaxWithLoss(16, 20, [5, 10])
AdaptiveLogSoftmaxWithLoss(16, 20, [4], head_bias=True)

Sequential() | Sequential(Linear(2, 3), ReLU(), Sequential(Linear(3, 4), Sequential()))
Sequential(OrderedDict([("first", Linear(2, 3)), ("last", Sequential(ReLU(), ReLU()))]))
Sequential(*[Sequential(Linear(2, 2), ReLU()) for _ in range(3)]) | Sequential(ReLU(), ReLU())[:1]
ModuleList() | ModuleList([Linear(2, 2)]) | ModuleList([Linear(2, 2) for _ in range(4)])
ModuleList([Linear(2, 2), Linear(2, 2), Linear(2, 3), Linear(2, 2), ModuleList()])
ModuleList([Sequential(Linear(2, 2), ReLU()) for _ in range(2)] + [ReLU(), ReLU()])
ModuleDict() | ModuleDict({"a": Linear(2, 2), "b": ModuleList([ReLU(), ReLU()])}) | Module()
ParameterList()
ParameterList([torch.ones(2), Parameter(torch.ones(3, 4)), Parameter(torch.ones(()))])
ParameterList([1, "text", torch.ones(2, dtype=torch.float64), [1, 2]])
ParameterDict() | ParameterDict({"a": torch.ones(2), "b": Parameter(torch.ones(2, 3)), "c": 3.5})
ParameterDict({"long name": Parameter(torch.ones(2), requires_grad=False), "t": (1, 2)})
Container(a=ReLU(), b=Linear(2, 2))

utils.parametrizations.weight_norm(Linear(2, 3)) | utils.weight_norm(Linear(2, 3))
utils.parametrizations.spectral_norm(Conv2d(2, 3, 3)) | utils.spectral_norm(Linear(2, 3))
Sequential(utils.parametrizations.weight_norm(Conv1d(2, 3, 3)), ReLU())
Linear(2, 3).double().eval()
utils.parametrize.register_parametrization(Linear(3, 3), "bias", ReLU())
Buffer(torch.ones(2)) | Buffer(torch.arange(3), persistent=False)
Parameter(torch.zeros(2, 30)) | Parameter(torch.tensor(1.5), requires_grad=False) | Parameter()
UninitializedParameter() | UninitializedBuffer()
Linear(2, 3).state_dict().keys() | LazyLinear(3).weight | LazyLinear(3).state_dict()
Sequential(Linear(1, 1), BatchNorm1d(2)).requires_grad_(False) | Linear(2, 2).named_parameters
"""

OPTIMIZERS = """
SGD([p]) | SGD([p], 0.1, momentum=0.9, weight_decay=1e-4, nesterov=True)
SGD([p], lr=1, maximize=True)
Adam([p]) | Adam([p], lr=3e-4, betas=(0.5, 0.99), amsgrad=True) | AdamW([p])
AdamW([p], 1e-3, eps=1e-6)
Adagrad([p]) | Adadelta([p]) | Adamax([p]) | ASGD([p]) | LBFGS([p]) | NAdam([p]) | RAdam([p])
RMSprop([p])
RMSprop([p], alpha=0.9, centered=True, momentum=0.5) | Rprop([p]) | Adafactor([p])
Muon([q]) | SGD([{"params": [p], "lr": 0.5}, {"params": [q], "name": "late"}], lr=0.1, momentum=0.9)
Adam([{"params": [p]}, {"params": [q], "betas": (0.1, 0.2)}]) | AdamW([("first", p), ("second", q)])
stepped(SGD([p], lr=0.5)) | stepped(Adam([p], lr=0.5)) | SGD([p], lr=torch.tensor(0.25))
"""


def expressions() -> list[str]:
    lines = [line for line in PLAIN.splitlines() if line]
    return [part.strip() for line in lines for part in line.split(" | ")]


def own_modules(torch: Any) -> dict[str, Callable[[], str]]:
    """Classes of a user's own, where the printed form has something to do with `extra_repr`."""
    nn = torch.nn

    def block(name: str, text: str = "", **children: Any) -> Any:
        made = type(name, (nn.Module,), {"extra_repr": lambda self: text})()
        for child, module in children.items():
            setattr(made, child, module)
        return made

    def with_state() -> Any:
        made = block("State")
        made.weight = nn.Parameter(torch.ones(2))
        made.register_buffer("mean", torch.zeros(2))
        made.register_parameter("none", None)
        return made

    def filled_state() -> Any:
        network = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3, affine=False))
        for parameter in network.parameters():
            nn.init.constant_(parameter, 0.5)
        return network.state_dict()

    def materialized() -> Any:
        network = nn.Sequential(nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.LazyLinear(5))
        network(torch.ones(1, 2, 5, 5))
        return network

    def moved() -> Any:
        network = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Tanh())
        del network[1]
        network.append(nn.Dropout(0.25))
        network.insert(1, nn.Identity())
        network.add_module("named", nn.ReLU6())
        return network

    return {
        "own: empty": lambda: repr(block("Empty")),
        "own: extra": lambda: repr(block("Extra", "size=3, mode=fast")),
        "own: extra of two lines": lambda: repr(block("Extra", "size=3\nmode=fast")),
        "own: child": lambda: repr(block("Outer", body=nn.Linear(2, 3))),
        "own: child and extra": lambda: repr(block("Outer", "size=3", body=nn.Linear(2, 3))),
        "own: child, extra of lines": lambda: repr(block("Outer", "size=3\nmode=1", f=nn.ReLU())),
        "own: nested": lambda: repr(
            block("Outer", "a\nb", inner=block("Inner", "c\nd", f=nn.ReLU(), g=block("Leaf")))
        ),
        "own: none child": lambda: repr(block("Outer", first=nn.ReLU(), second=None)),
        "own: child set to none": lambda: repr(_without(block("Outer", a=nn.ReLU(), b=nn.Tanh()))),
        "own: parameters": lambda: repr(with_state()),
        "own: state_dict": lambda: repr(filled_state()),
        "own: str of a list": lambda: str([nn.Linear(2, 3), block("Leaf", "x")]),
        "own: lazy after first call": lambda: repr(materialized()),
        "own: changed Sequential": lambda: repr(moved()),
        "own: shared child": lambda: repr(
            (lambda f: nn.Sequential(f, nn.Sequential(f)))(nn.ReLU())
        ),
    }


def _without(module: Any) -> Any:
    module.a = None
    return module


def shown_optimizer(torch: Any, text: str) -> str:
    """How an optimizer of the parameters p and q prints; `stepped` ones have a scheduler."""

    def stepped(optimizer: Any) -> Any:
        scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
        optimizer.step()
        scheduler.step()
        return optimizer

    given = {
        "torch": torch,
        "stepped": stepped,
        "p": torch.nn.Parameter(torch.ones(2)),
        "q": torch.nn.Parameter(torch.ones(3, 2)),
    }
    return repr(eval(text, {**vars(torch.optim), **given}))


def cases(torch: Any) -> dict[str, Callable[[], str]]:
    names = {**vars(torch.nn), "torch": torch, "OrderedDict": OrderedDict}
    made: dict[str, Callable[[], str]] = {
        text: (lambda text=text: repr(eval(text, dict(names)))) for text in expressions()
    }
    optimizers = [part for line in OPTIMIZERS.strip().splitlines() for part in line.split(" | ")]
    made.update((text, functools.partial(shown_optimizer, torch, text)) for text in optimizers)
    return {**made, **own_modules(torch)}
