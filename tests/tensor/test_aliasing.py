"""Random chains of views and in-place writes give what NumPy gives, in all that shares memory."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.package import package

SHAPE = (3, 4, 2)


@st.composite
def programs(draw):
    """Steps (view it starts from, kind, argument) that are valid one after the other."""
    shapes = [SHAPE]
    steps = []
    for _ in range(draw(st.integers(1, 8))):
        source = draw(st.integers(0, len(shapes) - 1))
        shape = shapes[source]
        step = draw(_step(shape))
        steps.append((source, *step))
        result = _apply_numpy(np.zeros(shape), *step)
        if result is not None:
            shapes.append(result.shape)
    return steps


def _step(shape):
    rank = len(shape)
    choices = [
        st.tuples(st.just("add"), st.integers(-3, 3)),
        st.tuples(st.just("multiply"), st.integers(-2, 2)),
        st.tuples(st.just("fill"), st.integers(-9, 9)),
        st.tuples(st.just("copy"), st.integers(0, 100)),
        st.tuples(st.just("add itself"), st.none()),
        st.tuples(st.just("unsqueeze"), st.integers(0, rank)),
        st.tuples(st.just("transposed copy"), st.none()),
    ]
    if rank:
        dimensions = st.integers(0, rank - 1)
        choices += [
            st.tuples(st.just("transpose"), st.tuples(dimensions, dimensions)),
            st.tuples(st.just("permute"), st.permutations(range(rank))),
            st.tuples(st.just("masked write"), st.integers(-5, 5)),
        ]
        dimension = st.shared(dimensions, key=f"dimension {rank}")
        choices.append(
            dimension.flatmap(
                lambda d: st.tuples(
                    st.just("slice"),
                    st.tuples(
                        st.just(d),
                        st.integers(0, shape[d]),
                        st.integers(0, shape[d]),
                        st.integers(1, 3),
                    ),
                )
            )
        )
        wide = [d for d in range(rank) if shape[d]]
        if wide:
            choices.append(
                st.sampled_from(wide).flatmap(
                    lambda d: st.tuples(
                        st.just("select"), st.tuples(st.just(d), st.integers(0, shape[d] - 1))
                    )
                )
            )
    return st.one_of(choices)


def _index(rank, dimension, part):
    return (slice(None),) * dimension + (part,) + (slice(None),) * (rank - dimension - 1)


def _apply_numpy(x, kind, argument):
    """Performs a step on an array; answers the new view, or None after a write."""
    if kind == "add":
        x += argument
    elif kind == "multiply":
        x *= argument
    elif kind == "fill":
        x[...] = argument
    elif kind == "copy":
        x[...] = np.random.default_rng(argument).integers(-9, 9, x.shape)
    elif kind == "add itself":
        x += x.copy()
    elif kind == "transposed copy":
        if x.ndim >= 2 and x.shape[-1] == x.shape[-2]:
            x[...] = np.swapaxes(x, -1, -2).copy()
    elif kind == "masked write":
        x[x > argument] = argument
    elif kind == "unsqueeze":
        return np.expand_dims(x, argument)
    elif kind == "transpose":
        return np.swapaxes(x, *argument)
    elif kind == "permute":
        return np.transpose(x, argument)
    elif kind == "slice":
        d, start, stop, step = argument
        return x[_index(x.ndim, d, slice(start, stop, step))]
    elif kind == "select":
        d, position = argument
        return x[(slice(None),) * d + (slice(position, position + 1),)].squeeze(d)
    return None


def _apply(x, kind, argument):
    if kind == "add":
        x += argument
    elif kind == "multiply":
        x.mul_(argument)
    elif kind == "fill":
        x.fill_(argument)
    elif kind == "copy":
        values = np.random.default_rng(argument).integers(-9, 9, tuple(x.shape))
        x.copy_(package.tensor(values))
    elif kind == "add itself":
        x.add_(x)
    elif kind == "transposed copy":
        if x.ndim >= 2 and x.shape[-1] == x.shape[-2]:
            x[...] = x.transpose(-1, -2).clone()
    elif kind == "masked write":
        x[x > argument] = argument
    elif kind == "unsqueeze":
        return x.unsqueeze(argument)
    elif kind == "transpose":
        return x.transpose(*argument)
    elif kind == "permute":
        return x.permute(*argument)
    elif kind == "slice":
        d, start, stop, step = argument
        return x[_index(x.ndim, d, slice(start, stop, step))]
    elif kind == "select":
        return x.select(*argument)
    return None


def run(steps, x, apply):
    views = [x]
    for source, kind, argument in steps:
        result = apply(views[source], kind, argument)
        if result is not None:
            views.append(result)
    return views


def start() -> np.ndarray:
    return np.arange(np.prod(SHAPE), dtype=np.float64).reshape(SHAPE)


@settings(max_examples=200)
@given(programs())
def test_views_and_writes_give_what_numpy_gives(steps):
    expected = run(steps, start(), _apply_numpy)
    found = run(steps, package.tensor(start()), _apply)
    for ours, theirs in zip(found, expected):
        assert tuple(ours.shape) == theirs.shape
        np.testing.assert_array_equal(ours.numpy(), theirs)


@settings(max_examples=100)
@given(programs())
def test_memory_shared_with_numpy_follows(steps):
    """The array given to from_numpy and the one taken by numpy() are the tensor's own memory."""
    ours = start()
    tensor = package.from_numpy(ours)
    taken = tensor.numpy()
    expected = run(steps, start(), _apply_numpy)
    run(steps, tensor, _apply)
    np.testing.assert_array_equal(tensor.numpy(), expected[0])
    np.testing.assert_array_equal(ours, expected[0])
    np.testing.assert_array_equal(taken, expected[0])


@settings(max_examples=100)
@given(programs(), st.integers(0, 8))
def test_it_makes_no_difference_when_values_are_looked_at(steps, when):
    views = [package.tensor(start())]
    for number, (source, kind, argument) in enumerate(steps):
        if number == when:
            [view.sum().item() for view in views]
        result = _apply(views[source], kind, argument)
        if result is not None:
            views.append(result)
    for ours, theirs in zip(views, run(steps, start(), _apply_numpy)):
        np.testing.assert_array_equal(ours.numpy(), theirs)


@settings(max_examples=100)
@given(programs())
def test_gradients_through_views_and_writes(steps):
    """The program is affine: its gradient is what it does to one entry at a time."""
    # Writes that are left out make no views, so the numbers of the views stay the same.
    linear = [step for step in steps if step[1] not in ("masked write", "transposed copy")]
    weight = np.cos(np.arange(np.prod(SHAPE))).reshape(SHAPE)
    leaf = package.tensor(start(), requires_grad=True)
    base = leaf * 1.0
    run(linear, base, _apply)
    (base * package.tensor(weight)).sum().backward()
    at_zero = run(linear, np.zeros(SHAPE), _apply_numpy)[0]
    expected = np.zeros(SHAPE)
    for place in np.ndindex(*SHAPE):
        unit = np.zeros(SHAPE)
        unit[place] = 1.0
        expected[place] = ((run(linear, unit, _apply_numpy)[0] - at_zero) * weight).sum()
    found = np.zeros(SHAPE) if leaf.grad is None else leaf.grad.numpy()
    np.testing.assert_allclose(found, expected, atol=1e-9)
