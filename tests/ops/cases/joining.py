"""Joining and splitting."""

import numpy as np

from tests.support.case import EVERY, case, floats, integers, mistake

ALL = {"dtypes": EVERY}
A, B, C = floats(2, 3), floats(1, 3), floats(4, 3)

CASES = [
    case("cat", [A, B, C], numpy=lambda parts: np.concatenate(parts), options=ALL),
    case("cat", [A, A], 1, numpy=np.concatenate),
    case("cat", (A, A), dim=-1),
    case("cat", [A]),
    case("cat", [floats(0), A]),
    case("cat", [floats(0, 3), A]),
    case("cat", [A, integers(2, 3)]),
    case("concat", [A, B]),
    case("concatenate", [A, B], dim=0),
    case("stack", [A, A, A], numpy=np.stack, options=ALL),
    case("stack", [A, A], 1, numpy=np.stack),
    case("stack", [A, A], dim=-1),
    case("stack", [floats(), floats()]),
    case("hstack", [A, A], numpy=np.hstack),
    case("hstack", [floats(2), floats(3)], numpy=np.hstack),
    case("vstack", [A, B], numpy=np.vstack),
    case("vstack", [floats(3), A]),
    case("row_stack", [A, B]),
    case("dstack", [A, A], numpy=np.dstack),
    case("column_stack", [floats(3), floats(3)], numpy=np.column_stack),
    case("column_stack", [floats(3), floats(3, 2)], numpy=np.column_stack),
    case("split", floats(7, 3), 2, options={**ALL, "out": False}),
    case("split", floats(7, 3), [3, 4]),
    case("split", floats(3, 7), 3, dim=1),
    case("split_with_sizes", floats(7), [2, 5]),
    case("chunk", floats(7, 3), 3, options=ALL),
    case("chunk", floats(3, 7), 2, dim=1),
    case("tensor_split", floats(7, 3), 3, numpy=np.array_split),
    case("tensor_split", floats(7, 3), (2, 5)),
    case("tensor_split", floats(3, 7), 2, dim=1),
    case("hsplit", floats(4, 6), 2, numpy=np.hsplit),
    case("vsplit", floats(4, 6), 2, numpy=np.vsplit),
    case("dsplit", floats(2, 3, 4), 2, numpy=np.dsplit),
    case("unbind", floats(3, 4), options=ALL),
    case("unbind", floats(3, 4), 1),
    case("unsafe_split", floats(7, 3), 2),
    case("unsafe_chunk", floats(7, 3), 3),
    case(
        "meshgrid",
        floats(3),
        floats(2),
        indexing="ij",
        numpy=np.meshgrid,
        options={"method": False},
    ),
    case("meshgrid", [floats(3), floats(2)], indexing="xy"),
    case("cartesian_prod", floats(3), floats(2), options={"method": False}),
    case("combinations", floats(4)),
    case("block_diag", floats(2, 2), floats(1, 3), options={"method": False}),
]

MISTAKES = [
    mistake(
        RuntimeError,
        "Sizes of tensors must match except in dimension 0. Expected size 3 but got size 4 for tensor number 1 in the list.",
        "cat",
        [floats(2, 3), floats(2, 4)],
    ),
    mistake(
        RuntimeError,
        "Tensors must have same number of dimensions: got 2 and 1",
        "cat",
        [floats(2, 3), floats(3)],
    ),
    mistake(
        RuntimeError,
        "stack expects each tensor to be equal size, but got [2] at entry 0 and [3] at entry 1",
        "stack",
        [floats(2), floats(3)],
    ),
    mistake(
        RuntimeError,
        "zero-dimensional tensor (at position 0) cannot be concatenated",
        "cat",
        [floats(), floats()],
    ),
    mistake(
        IndexError,
        "Dimension out of range (expected to be in range of [-1, 0], but got 1)",
        "cat",
        [floats(2), floats(2)],
        1,
    ),
    mistake(
        RuntimeError,
        "split_with_sizes expects split_sizes to sum exactly to 5 (input tensor's size at dimension 0), but got split_sizes=[2, 2]",
        "split",
        floats(5),
        [2, 2],
    ),
    mistake(
        RuntimeError, "chunk expects `chunks` to be greater than 0, got: 0", "chunk", floats(5), 0
    ),
]
