"""No kernel touches memory that is not its own: every family, with sizes that leave remainders, in
buffers that end, or begin, at forbidden pages.
"""

import pytest

from tests.support.guarded import touches_nothing_else

SIZES = (1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 31, 33, 63, 65)


def program(setup, lines, gradients=True):
    """Text that computes expressions of ``x`` and ``w``, and their gradients."""
    text = list(setup)
    for number, line in enumerate(lines):
        text.append(f"y = {line}")
        text.append(f"look(y{number}=y)")
        if gradients:
            text.append("if y.requires_grad: (y * data('float32', y.shape)).sum().backward()")
            text.append("for leaf in (x, w): look(gradient=leaf.grad); leaf.grad = None")
    return "\n".join(text) + "\n"


def leaves(x, w=(1,), dtype="float32"):
    return [f"x = parameter({dtype!r}, {x}, seed=1)", f"w = parameter({dtype!r}, {w}, seed=2)"]


CASES = {}
for m, n, k in [(1, 1, 1), (3, 17, 5), (17, 3, 33), (33, 65, 9), (7, 31, 130), (65, 1, 16)]:
    CASES[f"products {m} {n} {k}"] = program(
        leaves((m, k), (n, k)),
        ["x @ w.t()", "F.linear(x, w).relu()", "x[:, 1:] @ w[:, 1:].t()", "x @ w[0]"],
    )
for size in SIZES:
    CASES[f"rows {size}"] = program(
        leaves((3, size), (size,)),
        ["x.exp() * w", "x.sum(1)", "x.sum(0)", "x.softmax(1)", "x.amax(0)", "x.t().contiguous()"]
        + [f"F.layer_norm(x, ({size},), w)", "x.log_softmax(0)", "x.var(1)", "x[:, ::2] * 2"]
        + ["(x > 0)", "x.to(torch.float64)", "x.argmax(1)", "torch.cat([x, x * 2], 1)"],
    )
for shape, options in [
    ((2, 3, 7, 9), "(x, w)"),
    ((1, 3, 8, 8), "(x, w, stride=2, padding=1)"),
    ((2, 3, 9, 5), "(x, w, padding=2, dilation=2)"),
    ((3, 3, 17, 16), "(x, w, padding=1)"),
    ((1, 3, 33, 7), "(x, w, stride=(3, 1))"),
]:
    CASES[f"convolution {shape} {options}"] = program(
        leaves(shape, (5, 3, 3, 3)),
        [f"F.conv2d{options}", f"F.max_pool2d(F.conv2d{options}.relu(), 2)"],
    )
    CASES[f"pooling {shape}"] = program(
        leaves(shape),
        ["F.max_pool2d(x, 3, 2, 1)", "F.max_pool2d(x, 2)", "F.avg_pool2d(x, 3, 2, 1)"]
        + ["F.adaptive_avg_pool2d(x, 3)", "F.batch_norm(x, None, None, training=True)"]
        + ["F.group_norm(x, 3)", "F.conv2d(x, x[:, :, :1, :1].transpose(0, 1)[:, :1], groups=3)"],
    )
for size in (1, 3, 17, 33):
    CASES[f"indices {size}"] = program(
        leaves((9, size)),
        ["x[indices(-9, 9, (7,))]", "x.index_select(0, indices(0, 9, (5,)))"]
        + [f"x.gather(1, indices(0, {size}, (9, 3)))", "F.embedding(indices(0, 9, (4, 3)), x)"]
        + [
            f"F.cross_entropy(x, indices(0, {size}, (9,)))",
            "x.index_add(0, indices(0, 9, (9,)), x)",
        ]
        + [f"F.nll_loss(x, indices(0, {size}, (9,)), reduction='none')"],
    )
    CASES[f"attention {size}"] = program(
        leaves((2, 5, size), (2, 7, size)),
        ["F.scaled_dot_product_attention(x, w, w)"]
        + ["F.scaled_dot_product_attention(x, w, w, is_causal=True)"],
    )
    CASES[f"recurrent {size}"] = program(
        [*leaves((3, 4, size)), "torch.manual_seed(0)", f"m = nn.LSTM({size}, 5)"]
        + [f"g = nn.GRU({size}, 3)"],
        ["m(x)[0]", "g(x)[0]"],
    )
# groups of sequences, and blocks of steps, that differ in size
CASES["recurrent blocks"] = program(
    [*leaves((15, 19, 17)), "torch.manual_seed(0)", "m = nn.LSTM(17, 18, proj_size=5)"]
    + ["g = nn.GRU(17, 19)"],
    ["m(x)[0]", "g(x)[0]"],
)


@pytest.mark.parametrize("processor", ["host", "AVX2"])
@pytest.mark.parametrize("name", CASES)
def test_bounds(name, processor):
    touches_nothing_else(CASES[name], processor)
