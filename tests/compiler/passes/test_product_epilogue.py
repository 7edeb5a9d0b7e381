"""Pointwise values as part of the kernel of the product before them."""

import fakel
import fakel.nn.functional as F
from fakel.compiler.passes.product_epilogue import JoinEpilogues
from tests.support.graphs import check, graph_of, text_of


def tensors():
    fakel.manual_seed(0)
    return fakel.randn(6, 20), fakel.randn(5, 20), fakel.randn(5), fakel.randn(6, 5)


def test_text():
    x, w, b, mask = tensors()
    graph = graph_of(lambda: [F.relu(F.linear(x, w, b)) * mask])
    assert text_of(graph, JoinEpilogues()) == (
        "graph($0: float32[6, 20], $1: float32[5, 20], $2: float32[5], $3: float32[6, 5])\n"
        "  product_with_epilogue\n"
        "    %0 = linear($0, $1, $2) : float32[6, 5]\n"
        "    %1 = relu(%0) : float32[6, 5]\n"
        "    %2 = mul(%1, $3) : float32[6, 5]\n"
        "  return %2\n"
    )


def test_a_value_that_somebody_else_reads_ends_the_chain():
    x, w, b, mask = tensors()

    def record():
        y = F.relu(F.linear(x, w, b))
        return y * mask, y.sum(0)

    assert (
        "    %0 = linear($0, $1, $2) : float32[6, 5]\n"
        "    %1 = relu(%0) : float32[6, 5]\n"
        "  %2 = mul(%1, $3) : float32[6, 5]\n"
    ) in text_of(graph_of(record), JoinEpilogues())
    check(record)


def test_training_of_a_perceptron():
    def record():
        fakel.manual_seed(0)
        net = fakel.nn.Sequential(
            fakel.nn.Linear(20, 9), fakel.nn.ReLU(), fakel.nn.Linear(9, 7), fakel.nn.Tanh()
        )
        net(fakel.randn(12, 20)).square().sum().backward()
        return [p.grad for p in net.parameters()]

    check(record)


def test_a_chain_that_depends_on_the_product_through_others_is_left_alone():
    x, w, b, mask = tensors()

    def record():
        y = x @ w.t()
        return [y + (y.sum() * b)]

    check(record)
