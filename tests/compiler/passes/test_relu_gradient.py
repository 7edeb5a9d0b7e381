"""The gradient of ReLU before that of max pooling."""

import numpy as np

import fakel
from fakel.compiler.passes.relu_gradient import MaskPooled
from tests.support.graphs import check, graph_of, text_of

F = fakel.nn.functional


def pooled(*shape):
    values = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    x = fakel.tensor(values, requires_grad=True)
    y = F.max_pool2d(F.relu(x), 2)
    (y * y).sum().backward()
    return (x.grad,)


def test_the_mask_has_the_size_of_what_is_pooled():
    text = text_of(graph_of(lambda: pooled(2, 3, 6, 8)), MaskPooled())
    (mask,) = (line for line in text.splitlines() if " relu_gradient(" in line)
    spread = text.splitlines()[-2]
    assert " max_pool_gradient(" in spread
    assert mask.endswith(": float32[2, 3, 3, 4]")
    assert spread.endswith(": float32[2, 3, 6, 8]")
    assert mask.split()[0] in spread


def test_gradients_stay():
    check(lambda: pooled(2, 3, 6, 8))


def test_a_pooling_of_something_else_stays():
    def record():
        x = fakel.arange(48.0).sub(20).reshape(1, 1, 6, 8).requires_grad_()
        y = F.max_pool2d(F.relu(x) * 2, 2)
        y.sum().backward()
        return (x.grad,)

    graph = graph_of(record)
    assert text_of(graph, MaskPooled()) == repr(graph)
