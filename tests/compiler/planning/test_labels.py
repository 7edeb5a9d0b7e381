"""Profiles know what a compiled program's kernels compute: operators, operations, bytes."""

from __future__ import annotations

import pytest

import fakel
import fakel.nn.functional as F
from fakel.compiler.executor import Compiler
from fakel.graph import flush, use_executor
from fakel.runtime import trace


def profiled(record):
    """The labels of the kernels that a function's operators are compiled to."""
    flush()
    before = use_executor(Compiler(eager=True))
    recording = trace.Recording()
    trace.start(recording)
    try:
        result = record()
        flush()
        del result
    finally:
        trace.stop()
        use_executor(before)
    return [trace.label_of(number) for number in recording.row_totals]


def tensors(*shapes):
    made = [fakel.randn(*shape) for shape in shapes]
    flush()
    return made


@pytest.mark.parametrize(
    ("shapes", "record", "operations"),
    [
        # 2 m n k, whatever the operator adds to it
        ([(8, 5), (5, 7)], lambda a, b: a @ b, 2 * 8 * 5 * 7),
        ([(3, 8, 5), (3, 5, 7)], lambda a, b: a.bmm(b), 3 * 2 * 8 * 5 * 7),
        ([(8, 5), (7, 5), (7,)], F.linear, 2 * 8 * 5 * 7),
        # each of 2 x 6 x 10 x 9 results: 4 channels of 3 x 2 products and sums
        ([(2, 4, 12, 10), (6, 4, 3, 2)], F.conv2d, 2 * (2 * 6 * 10 * 9) * (4 * 3 * 2)),
        # groups: each result sees 2 channels
        (
            [(2, 4, 12, 10), (6, 2, 3, 2)],
            lambda x, w: F.conv2d(x, w, groups=2),
            2 * (2 * 6 * 10 * 9) * (2 * 3 * 2),
        ),
        # the transposed one: each of the 2 x 4 x 5 x 5 inputs meets 6 channels of 3 x 3
        (
            [(2, 4, 5, 5), (4, 6, 3, 3)],
            lambda x, w: F.conv_transpose2d(x, w),
            2 * (2 * 4 * 5 * 5) * (6 * 3 * 3),
        ),
    ],
)
def test_operations_of_products_and_convolutions(shapes, record, operations):
    made = tensors(*shapes)
    labels = profiled(lambda: record(*made))
    if not labels:
        pytest.skip("no kernel for this operator")
    assert sum(label.operations for label in labels) == operations


def test_fused_operators_are_named_together():
    x, y = tensors((30, 40), (30, 40))
    (label,) = profiled(lambda: (x * y + 1.0).relu().exp())
    assert sorted(label.operators) == ["add", "exp", "mul", "relu"]
    assert label.operators[-1] == "exp" and label.operations == 4 * 1200
    # two inputs and the result, and at most the number
    assert 3 * 4800 <= label.size <= 3 * 4800 + 8


def test_expanded_operands_count_once():
    x, row = tensors((30, 40), (40,))
    (label,) = profiled(lambda: x + row.expand(30, 40))
    assert label.size == 4 * (1200 + 40 + 1200)
