"""Loop nests against NumPy's walks over the same shapes and strides."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakel.compiler.loop_ir.builder import Builder
from fakel.compiler.loop_ir.nests import (
    broadcast_strides,
    even_loops,
    loops,
    merged,
    offset,
    offset_of,
    unravel,
)
from tests.compiler.loop_ir.test_emit import run

SHAPES = st.lists(st.integers(1, 4), max_size=4).map(tuple)


def walk(shape, strides):
    """The places of all elements, in order."""
    return [sum(i * s for i, s in zip(index, strides, strict=True)) for index in np.ndindex(*shape)]


@given(SHAPES, st.lists(st.sampled_from(["in order", "turned", "repeated"]), max_size=3))
def test_merged_dimensions_go_through_the_same_places(shape, ways):
    array = np.zeros(shape, np.int8)
    operands = {
        "in order": array.strides,
        "turned": np.zeros(shape[::-1], np.int8).T.strides,
        "repeated": np.broadcast_to(np.int8(0), shape).strides,
    }
    given = [operands[way] for way in ways]
    sizes, steps, _ = merged(shape, given)
    for before, after in zip(given, steps, strict=True):
        assert walk(sizes, after) == walk(shape, before)
    if set(ways) <= {"in order"}:
        assert len(sizes) <= 1


def test_marked_dimensions_stay_apart():
    assert merged((2, 3, 4), [(12, 4, 1)], [True, False, False]) == (
        [2, 12],
        [[12, 1]],
        [True, False],
    )


@given(SHAPES, SHAPES)
def test_broadcasting(lead, shape):
    onto = (*lead, *(3 if size == 1 else size for size in shape))
    array = np.zeros(shape, np.int8)
    # NumPy may give any stride to a dimension of one element
    assert walk(onto, broadcast_strides(shape, array.strides, onto)) == walk(
        onto, np.broadcast_to(array, onto).strides
    )


@pytest.mark.parametrize("sizes", [(), (5,), (3, 4), (2, 3, 4), (70, 2)])
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("way", [loops, even_loops])
def test_threads_together_visit_every_index_once(way, sizes, threads):
    strides = tuple(math.prod(sizes[dim + 1 :]) for dim in range(len(sizes)))
    build = Builder("visit")
    count = build.buffer("count", "i64")
    with way(build, sizes, parallel=threads > 1 and len(sizes) > 0) as indices:
        place = offset(indices, strides, start=1)
        build.store(count, place, build.load(count, place) + 1)
    found = np.zeros(math.prod(sizes) + 2, np.int64)
    turns = range(threads) if sizes else range(1)
    for thread in turns:
        assert run(build.kernel, found, thread=thread, threads=threads) == 0
    assert found.tolist() == [0, *[1] * math.prod(sizes), 0]


def test_places_of_numbered_elements():
    sizes, strides = (2, 3, 4), (100, -7, 2)
    build = Builder("places")
    first, second = build.buffer("first", "i64"), build.buffer("second", "i64")
    with build.loop(math.prod(sizes)) as number:
        build.store(first, number, offset_of(number, sizes, strides))
        build.store(second, number, offset(unravel(number, sizes), strides))
    found = np.zeros((2, math.prod(sizes)), np.int64)
    assert run(build.kernel, *found) == 0
    wanted = [100 * i - 7 * j + 2 * k for i, j, k in itertools.product(*map(range, sizes))]
    assert found.tolist() == [wanted, wanted]
