"""Views of views, and views that show everything."""

import fakel
from fakel.compiler.passes.views import ComposeViews
from tests.support.graphs import graph_of, text_of


def test_views_of_results_are_composed_and_a_view_of_everything_goes():
    x = fakel.arange(12.0)
    graph = graph_of(lambda: ((x * 2).view(3, 4)[1:].exp(), (x + 1).view(3, 4).view(12).exp()))
    assert text_of(graph, ComposeViews()) == (
        "graph($0: float32[12], $1: float32[], $2: float32[])\n"
        "  %0 = mul($0, $1) : float32[12]\n"
        "  %1 = view(%0, shape=(2, 4), strides=(4, 1), offset=4) : float32[2, 4]\n"
        "  %2 = exp(%1) : float32[2, 4]\n"
        "  %3 = add($0, $2) : float32[12]\n"
        "  %4 = exp(%3) : float32[12]\n"
        "  return %2, %4\n"
    )
