"""Common subexpressions."""

import fakel
from fakel.compiler.passes.common import ShareCommon
from tests.support.graphs import check, graph_of, text_of


def test_equal_values_are_computed_once_and_copies_stay():
    x = fakel.arange(3.0)

    def record():
        return x.exp(), x.exp() + x.clone(), x.clone(), x.sum(0), x.sum(0, keepdim=True)

    assert text_of(graph_of(record), ShareCommon()) == (
        "graph($0: float32[3])\n"
        "  %0 = exp($0) : float32[3]\n"
        "  %1 = copy($0) : float32[3]\n"
        "  %2 = add(%0, %1) : float32[3]\n"
        "  %3 = copy($0) : float32[3]\n"
        "  %4 = sum($0, dims=(0,), keepdim=False, size=(3,)) : float32[]\n"
        "  %5 = sum($0, dims=(0,), keepdim=True, size=(3,)) : float32[1]\n"
        "  return %0, %2, %3, %4, %5\n"
    )
    check(record)


def test_two_tensors_of_one_value_can_be_written_apart():
    x = fakel.arange(3.0)

    def record():
        a, b = x.exp(), x.exp()
        fakel.graph.flush()
        a.add_(1)
        return a, b

    check(record)
