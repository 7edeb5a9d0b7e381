"""Functions of torch.nn.functional (and their twins in torch): activations, layers, losses."""

import numpy as np

from tests.support.case import FLOATS, case, constant, floats, integers, mistake

F = "nn.functional."
DOUBLE = {"tolerance": 5}
PLAIN = {"gradient": 0}


def activation(name, *arguments, domain="away", dtypes=FLOATS, gradient=2, **keywords):
    options = {"dtypes": dtypes, "gradient": gradient, "tolerance": 2}
    return [
        case(F + name, floats(*shape, domain=domain), *arguments, options=options, **keywords)
        for shape in [(3, 4), (), (0, 2)]
    ]


def pooling(name, dimensions, *arguments, **keywords):
    """One line with a batch, one without."""
    size = (7, 6, 5)[:dimensions]
    return [
        case(
            F + name,
            floats(*lead, *size, domain="distinct"),
            *arguments,
            options=DOUBLE,
            **keywords,
        )
        for lead in [(2, 3), (3,)]
    ]


ACTIVATIONS = [
    *activation("relu"),
    *activation("relu6"),
    *activation("elu", alpha=1.5),
    *activation("selu"),
    *activation("celu", 1.5),
    *activation("leaky_relu", 0.1),
    *activation("gelu", domain="normal"),
    *activation("gelu", domain="normal", approximate="tanh"),
    *activation("silu", domain="normal"),
    *activation("mish", domain="normal"),
    *activation("softplus", domain="normal"),
    *activation("softsign"),
    *activation("tanhshrink", domain="normal"),
    *activation("softshrink", 0.4),
    *activation("hardshrink", 0.4),
    *activation("hardtanh"),
    *activation("hardsigmoid", gradient=1),
    *activation("hardswish"),
    *activation("logsigmoid", domain="normal"),
    *activation("sigmoid", domain="normal"),
    *activation("tanh", domain="normal"),
    *activation("threshold", 0.4, 2.0),
    case(F + "prelu", floats(2, 3, 4, domain="away"), floats(3)),
    case(F + "glu", floats(3, 4)),
    case(F + "softmax", floats(3, 4), dim=1, options={"dtypes": FLOATS}),
    case(F + "softmax", floats(2, 3, 4), dim=-2),
    case(F + "softmax", floats(), dim=0),
    case(F + "softmax", floats(0, 3), dim=1),
    case(F + "log_softmax", floats(3, 4), dim=1, options={"dtypes": FLOATS}),
    case(F + "log_softmax", floats(2, 3, 4), dim=0),
    case(F + "softmin", floats(3, 4), dim=1),
    case(
        "softmax",
        floats(3, 4),
        1,
        numpy=lambda x, dim: np.exp(x) / np.exp(x).sum(dim, keepdims=True),
    ),
    case("log_softmax", floats(3, 4), dim=0),
    case(F + "normalize", floats(3, 4)),
    case(F + "normalize", floats(3, 4, domain="away"), p=1.0, dim=0),
]

LAYERS = [
    case(F + "linear", floats(3, 4), floats(5, 4), floats(5), numpy=lambda x, w, b: x @ w.T + b),
    case(F + "linear", floats(2, 3, 4), floats(5, 4)),
    case(F + "linear", floats(4), floats(5, 4), floats(5)),
    case(F + "linear", floats(0, 4), floats(5, 4), floats(5)),
    case(F + "bilinear", floats(3, 4), floats(3, 5), floats(2, 4, 5), floats(2)),
    case(
        F + "conv1d",
        floats(2, 3, 8),
        floats(4, 3, 3),
        floats(4),
        stride=2,
        padding=1,
        options=DOUBLE,
    ),
    case(F + "conv1d", floats(3, 8), floats(4, 3, 3), padding="same", dilation=2, options=DOUBLE),
    case(F + "conv2d", floats(2, 3, 6, 5), floats(4, 3, 3, 2), floats(4), options=DOUBLE),
    case(
        F + "conv2d",
        floats(1, 4, 6, 6),
        floats(6, 2, 3, 3),
        None,
        (2, 1),
        (1, 0),
        1,
        2,
        options=DOUBLE,
    ),
    case(
        F + "conv2d",
        floats(1, 2, 7, 7),
        floats(2, 2, 3, 3),
        padding="same",
        dilation=2,
        options=DOUBLE,
    ),
    case(F + "conv2d", floats(2, 5, 5), floats(3, 2, 3, 3), padding="valid", options=DOUBLE),
    case(F + "conv2d", floats(1, 4, 5, 5), floats(4, 1, 3, 3), groups=4, padding=1, options=DOUBLE),
    case(F + "conv2d", floats(0, 2, 5, 5), floats(3, 2, 3, 3)),
    case(F + "conv3d", floats(1, 2, 4, 4, 4), floats(3, 2, 2, 2, 2), floats(3), options=DOUBLE),
    case(
        F + "conv_transpose1d",
        floats(2, 3, 5),
        floats(3, 4, 3),
        floats(4),
        stride=2,
        padding=1,
        output_padding=1,
        options=DOUBLE,
    ),
    case(F + "conv_transpose2d", floats(1, 3, 4, 4), floats(3, 2, 3, 3), stride=2, options=DOUBLE),
    case(
        F + "conv_transpose2d",
        floats(1, 2, 3, 3),
        floats(2, 2, 1, 1),
        dilation=2,
        output_padding=1,
        options=DOUBLE,
    ),
    *pooling("max_pool1d", 1, 3, 2),
    *pooling("max_pool2d", 2, 2),
    *pooling("max_pool2d", 2, 3, stride=2, padding=1),
    *pooling("max_pool2d", 2, 2, dilation=2, ceil_mode=True),
    *pooling("max_pool2d", 2, 2, return_indices=True),
    *pooling("max_pool3d", 3, 2),
    *pooling("avg_pool1d", 1, 3, 2, 1),
    *pooling("avg_pool2d", 2, 2),
    *pooling("avg_pool2d", 2, 3, stride=2, padding=1, count_include_pad=False),
    *pooling("avg_pool2d", 2, 3, 2, ceil_mode=True, divisor_override=2),
    *pooling("avg_pool3d", 3, 2),
    *pooling("adaptive_avg_pool1d", 1, 3),
    *pooling("adaptive_avg_pool2d", 2, (3, 2)),
    *pooling("adaptive_avg_pool2d", 2, 1),
    *pooling("adaptive_max_pool1d", 1, 3),
    *pooling("adaptive_max_pool2d", 2, (3, 2)),
    *pooling("lp_pool2d", 2, 2.0, 2),
    case(F + "pad", floats(2, 3), (1, 2)),
    case(F + "pad", floats(2, 3, 4), (1, 0, -1, 2), value=1.5),
    case(F + "pad", floats(2, 3, 4), (2, 1), mode="reflect"),
    case(F + "pad", floats(1, 3, 4, 4), (2, 1, 1, 0), mode="reflect"),
    case(F + "pad", floats(1, 3, 4, 4), (2, 1, 1, 3), mode="replicate"),
    case(F + "pad", floats(1, 3, 4, 4), (2, 1, 1, 0), mode="circular"),
    case(F + "unfold", floats(2, 3, 5, 6), (2, 3), padding=1, stride=2),
    case(F + "fold", floats(2, 12, 12), (4, 5), (2, 2)),
    case(F + "pixel_shuffle", floats(1, 8, 3, 3), 2),
    case(F + "pixel_unshuffle", floats(1, 2, 4, 4), 2),
    case(F + "interpolate", floats(1, 2, 3, 4), scale_factor=2),
    case(
        F + "interpolate",
        floats(1, 2, 3, 4),
        size=(5, 7),
        mode="bilinear",
        align_corners=False,
        options=DOUBLE,
    ),
    case(
        F + "interpolate",
        floats(1, 2, 3, 4),
        size=(5, 7),
        mode="bilinear",
        align_corners=True,
        options=DOUBLE,
    ),
    case(
        F + "batch_norm",
        floats(4, 3, 2, 2),
        floats(3),
        floats(3, domain="positive"),
        floats(3),
        floats(3),
        options={"gradient": None, "tolerance": 5},
    ),
    case(
        F + "batch_norm",
        floats(4, 3, 2),
        None,
        None,
        floats(3),
        floats(3),
        training=True,
        options={"tolerance": 20},
    ),
    case(F + "layer_norm", floats(3, 4), (4,), floats(4), floats(4), options={"tolerance": 10}),
    case(F + "layer_norm", floats(2, 3, 4), [3, 4], options={"tolerance": 10}),
    case(F + "group_norm", floats(2, 4, 3), 2, floats(4), floats(4), options={"tolerance": 10}),
    case(F + "instance_norm", floats(2, 3, 4, 2), options={"tolerance": 10}),
    case(F + "rms_norm", floats(3, 4), (4,), floats(4), options={"tolerance": 10}),
    case(F + "local_response_norm", floats(2, 5, 3, 3), 3, options=DOUBLE),
    case(F + "dropout", floats(3, 4), 0.5, False),
    case(F + "dropout", floats(3, 4), 0.0, True),
    case(
        F + "scaled_dot_product_attention",
        floats(2, 3, 4),
        floats(2, 5, 4),
        floats(2, 5, 4),
        options=DOUBLE,
    ),
    case(
        F + "scaled_dot_product_attention",
        floats(1, 2, 3, 4),
        floats(1, 2, 3, 4),
        floats(1, 2, 3, 4),
        is_causal=True,
        options={"tolerance": 5, "gradient": 1},
    ),
    case(F + "cosine_similarity", floats(3, 4), floats(3, 4), options=DOUBLE),
    case(F + "pairwise_distance", floats(3, 4), floats(3, 4), options=DOUBLE),
]


def loss(name, *inputs, mean="mean", gradient=2, **keywords):
    """One line for each reduction."""
    options = {"tolerance": 5, "gradient": gradient}
    return [
        case(F + name, *inputs, reduction=reduction, options=options, **keywords)
        for reduction in (mean, "sum", "none")
    ]


LOSSES = [
    *loss("cross_entropy", floats(4, 5), integers(4)),
    *loss(
        "cross_entropy",
        floats(4, 5),
        integers(4),
        weight=constant(5, domain="positive"),
        ignore_index=2,
    ),
    *loss("cross_entropy", floats(4, 5), integers(4), label_smoothing=0.1),
    *loss("cross_entropy", floats(4, 5), floats(4, 5, domain="unit")),
    *loss("cross_entropy", floats(2, 5, 3), integers(2, 3)),
    case(F + "cross_entropy", floats(5), integers(), options=DOUBLE),
    *loss("nll_loss", floats(4, 5), integers(4), ignore_index=1),
    *loss("nll_loss", floats(2, 5, 3), integers(2, 3)),
    *loss("mse_loss", floats(3, 4), floats(3, 4)),
    *loss("l1_loss", floats(3, 4), floats(3, 4)),
    *loss("smooth_l1_loss", floats(3, 4), floats(3, 4), beta=0.5),
    *loss("huber_loss", floats(3, 4), floats(3, 4), delta=0.7),
    *loss("binary_cross_entropy", floats(3, 4, domain="unit"), floats(3, 4, domain="unit")),
    *loss("binary_cross_entropy_with_logits", floats(3, 4), floats(3, 4, domain="unit")),
    case(
        F + "binary_cross_entropy_with_logits",
        floats(3, 4),
        floats(3, 4, domain="unit"),
        pos_weight=constant(4, domain="positive"),
        options=DOUBLE,
    ),
    *loss("kl_div", floats(3, 4), floats(3, 4, domain="unit"), mean="batchmean"),
    case(
        F + "kl_div",
        floats(3, 4),
        floats(3, 4),
        reduction="batchmean",
        log_target=True,
        options=DOUBLE,
    ),
    *loss("poisson_nll_loss", floats(3, 4), floats(3, 4, domain="positive")),
    *loss("gaussian_nll_loss", floats(3, 4), floats(3, 4), floats(3, 4, domain="positive")),
    *loss("hinge_embedding_loss", floats(3, 4), constant(3, 4, domain="sign")),
    *loss("soft_margin_loss", floats(3, 4), constant(3, 4, domain="sign")),
    *loss("margin_ranking_loss", floats(3), floats(3), constant(3, domain="sign")),
    *loss("cosine_embedding_loss", floats(3, 4), floats(3, 4), constant(3, domain="sign")),
    *loss("triplet_margin_loss", floats(3, 4), floats(3, 4), floats(3, 4)),
    *loss("multi_margin_loss", floats(3, 4), integers(3, high=4), gradient=1),
    *loss("multilabel_soft_margin_loss", floats(3, 4), floats(3, 4, domain="unit")),
]

CASES = ACTIVATIONS + LAYERS + LOSSES

MISTAKES = [
    mistake(
        RuntimeError,
        "mat1 and mat2 shapes cannot be multiplied (3x4 and 5x2)",
        F + "linear",
        floats(3, 4),
        floats(2, 5),
    ),
    mistake(
        RuntimeError,
        "Given groups=1, weight of size [4, 3, 3, 3], expected input[1, 2, 5, 5] to have 3 channels, but got 2 channels instead",
        F + "conv2d",
        floats(1, 2, 5, 5),
        floats(4, 3, 3, 3),
    ),
    mistake(
        RuntimeError,
        "Calculated padded input size per channel: (2 x 2). Kernel size: (3 x 3). Kernel size can't be greater than actual input size",
        F + "conv2d",
        floats(1, 3, 2, 2),
        floats(4, 3, 3, 3),
    ),
    mistake(
        RuntimeError,
        "Expected 3D (unbatched) or 4D (batched) input to conv2d, but got input of size: [3, 4]",
        F + "conv2d",
        floats(3, 4),
        floats(4, 3, 3, 3),
    ),
    mistake(
        ValueError,
        "Expected input batch_size (4) to match target batch_size (3).",
        F + "cross_entropy",
        floats(4, 5),
        integers(3),
    ),
    mistake(
        IndexError, "is out of bounds.", F + "cross_entropy", floats(4, 2), integers(4, high=9)
    ),
    mistake(
        ValueError,
        "Expected more than 1 value per channel when training, got input size torch.Size([1, 3])",
        F + "batch_norm",
        floats(1, 3),
        None,
        None,
        training=True,
    ),
    mistake(
        RuntimeError,
        "Given normalized_shape=[5], expected input with shape [*, 5], but got input of size[3, 4]",
        F + "layer_norm",
        floats(3, 4),
        (5,),
    ),
    mistake(
        ValueError,
        "dropout probability has to be between 0 and 1, but got 1.5",
        F + "dropout",
        floats(2),
        1.5,
    ),
    mistake(
        ValueError,
        "Using a target size (torch.Size([4])) that is different to the input size (torch.Size([3])) is deprecated",
        F + "binary_cross_entropy",
        floats(3, domain="unit"),
        floats(4, domain="unit"),
    ),
    mistake(
        ValueError,
        "Target size (torch.Size([4])) must be the same as input size (torch.Size([3]))",
        F + "binary_cross_entropy_with_logits",
        floats(3),
        floats(4),
    ),
]
