"""Values that nobody reads."""

import fakel
from fakel.compiler.passes.common import ShareCommon
from fakel.compiler.passes.dead import DropUnread
from fakel.compiler.passes.views import ComposeViews
from tests.support.graphs import graph_of, text_of


def test_a_view_that_only_another_view_read_goes():
    x = fakel.arange(12.0)
    graph = graph_of(lambda: [(x * 2).view(3, 4)[1:].exp()])
    assert text_of(graph, ComposeViews(), ShareCommon(), DropUnread()) == (
        "graph($0: float32[12], $1: float32[])\n"
        "  %0 = mul($0, $1) : float32[12]\n"
        "  %1 = view(%0, shape=(2, 4), strides=(4, 1), offset=4) : float32[2, 4]\n"
        "  %2 = exp(%1) : float32[2, 4]\n"
        "  return %2\n"
    )


def test_a_graph_without_results_is_empty():
    graph = graph_of(lambda: [fakel.arange(3.0) * 2])
    graph.results = []
    assert not DropUnread()(graph).values
