"""Pointwise values in the shape of the product before them."""

import fakel
import fakel.nn.functional as F
from fakel.compiler.passes.dead import DropUnread
from fakel.compiler.passes.product_epilogue import JoinEpilogues
from fakel.compiler.passes.product_shape import KeepProductShape
from fakel.graph import flush
from tests.support.graphs import check, graph_of, text_of

PASSES = KeepProductShape(), DropUnread(), JoinEpilogues()


def test_text():
    x, w, y = fakel.ones(6, 4), fakel.ones(4, 5), fakel.ones(2, 3, 5)
    graph = graph_of(lambda: [(x @ w).view(2, 3, 5) * y + 2.0])
    assert text_of(graph, *PASSES) == (
        "graph($0: float32[6, 4], $1: float32[4, 5], $2: float32[2, 3, 5], $3: float32[])\n"
        "  %0 = view($2, shape=(6, 5), strides=(5, 1), offset=0) : float32[6, 5]\n"
        "  product_with_epilogue\n"
        "    %1 = mm($0, $1) : float32[6, 5]\n"
        "    %2 = mul(%1, %0) : float32[6, 5]\n"
        "    %3 = add(%2, $3) : float32[6, 5]\n"
        "  %4 = view(%3, shape=(2, 3, 5), strides=(15, 5, 1), offset=0) : float32[2, 3, 5]\n"
        "  return %4\n"
    )


def test_what_broadcasts_or_lies_otherwise_stays():
    x, w = fakel.ones(6, 4), fakel.ones(4, 5)
    row, turned = fakel.arange(5.0), fakel.arange(30.0).view(5, 3, 2).permute(2, 1, 0)

    def record():
        y = (x @ w).view(2, 3, 5)
        return y * row, y + turned, y[1:] * 2

    graph = graph_of(record)
    assert repr(KeepProductShape()(graph)) == repr(graph)
    check(record)


def test_a_perceptron_over_sequences():
    def record():
        fakel.manual_seed(0)
        x, w = fakel.randn(2, 3, 6), fakel.randn(7, 6, requires_grad=True)
        v = fakel.randn(6, 7, requires_grad=True)
        flush()
        F.linear(F.gelu(F.linear(x, w)), v).square().sum().backward()
        return w.grad, v.grad

    names = [step.kernel.name for step in check(record).steps]
    assert "product" in names


def test_a_chain_goes_on_in_the_products_shape():
    x, w, y = fakel.randn(6, 4), fakel.randn(4, 5), fakel.randn(2, 3, 5)

    def record():
        return [((x @ w).view(2, 3, 5) * y).tanh() - y]

    assert len(check(record).steps) == 1
