"""Batch normalisation before max pooling: statistics, and a scale and a shift that pooling computes
on the way.
"""

import numpy as np

import fakel
from fakel import nn
from fakel.compiler.passes.pooled_normalization import SplitPooledNormalization
from tests.support.graphs import check, graph_of, text_of

F = nn.functional


def drawn(*shape, seed=0):
    values = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    return fakel.tensor(values)


def test_what_is_normalised_is_never_stored():
    x, w, b = drawn(4, 3, 8, 40), drawn(3, seed=1), drawn(3, seed=2)

    def record():
        return (F.max_pool2d(F.relu(F.batch_norm(x, None, None, w, b, True)), 2),)

    text = text_of(graph_of(record), SplitPooledNormalization())
    names = [line.split(" = ")[1].split("(")[0] for line in text.splitlines() if " = " in line]
    assert [n for n in names if n != "output"][-4:] == [
        "batch_norm_statistics",
        "scale_shift",
        "relu",
        "max_pool",
    ]
    program = check(record)
    kernels = [step.kernel.name for step in program.steps]
    assert kernels == ["batch_norm_statistics", "max_pool"]


def test_gradients_and_running_statistics():
    for window in (2, 3):

        def record(window=window):
            fakel.manual_seed(0)
            model = nn.Sequential(
                nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(window, 2)
            )
            y = model(drawn(5, 2, 11, 37))
            (y * y).sum().backward()
            norm = model[1]
            found = [y, norm.running_mean, norm.running_var]
            return [t.detach() for t in (*found, *(p.grad for p in model.parameters()))]

        check(record, 2e-3)


def test_who_else_reads_the_normalised_tensor_gets_it():
    x = drawn(4, 3, 8, 8)

    def record():
        y = F.batch_norm(x, None, None, None, None, True)
        return F.max_pool2d(y, 2), y.sum((0, 2, 3))

    graph = graph_of(record)
    assert text_of(graph, SplitPooledNormalization()) == repr(graph)
    check(record)
