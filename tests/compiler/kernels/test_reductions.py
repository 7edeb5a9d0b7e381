"""Reductions: any axes, any layout, as accurate as sums in double precision, the same bits every
time, fused with what they read.
"""

import numpy as np
import pytest

import fakel
from fakel.compiler.executor import Compiler
from tests.compiler.native import both, running_on
from tests.support.execution import written_for

SHAPES = [
    ((5,), None),
    ((37, 70), 0),
    ((37, 70), 1),
    ((37, 70), None),
    ((3, 4, 5, 6), (0, 2)),
    ((3, 4, 5, 6), (1, 3)),
    ((2, 70000), 1),
    ((70000, 2), 0),
    ((400, 300), 0),
    ((2, 9), 0),
]


def drawn(shape, seed=0, dtype=np.float32):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def compare(compute, rtol=2e-5):
    expected, found, interpreted = both(compute)
    assert not interpreted
    for want, have in zip(expected, found, strict=True):
        assert want.dtype == have.dtype and want.shape == have.shape
        np.testing.assert_allclose(have, want, rtol=rtol, atol=rtol)


def arrays(*tensors):
    return tuple(tensor.detach().numpy() for tensor in tensors)


@pytest.mark.parametrize("strided", [False, True])
@pytest.mark.parametrize(("shape", "dim"), SHAPES)
def test_reductions_over_any_axes(shape, dim, strided):
    x = fakel.tensor(drawn(shape))
    if strided:
        wide = fakel.tensor(drawn((*shape[:-1], 2 * shape[-1])))
        x = wide[..., ::2].transpose(0, -1)
        dim = dim if dim is None or isinstance(dim, tuple) else len(shape) - 1 - dim
    every = tuple(range(x.ndim)) if dim is None else dim
    compare(
        lambda: arrays(
            x.sum(every),
            x.mean(every, keepdim=True),
            x.amax(every),
            x.amin(every),
            x.var(every),
            x.std(every),
            x.norm(dim=every),
            x.norm(1, every),
            x.norm(float("inf"), every),
            x.logsumexp(every),
            (x > 2).any(dim=every),
            (x < 3).all(dim=every),
            (x > 0).sum(every),
            (x > 0).count_nonzero(every),
        )
    )


@pytest.mark.parametrize("dtype", ["int64", "int32", "float64"])
def test_other_dtypes(dtype):
    x = fakel.tensor(np.random.default_rng(0).integers(-9, 9, (33, 50))).to(getattr(fakel, dtype))
    compare(lambda: arrays(x.sum(0), x.sum(), x.amax(1), x.amin(0), x.prod(1), x.cumsum(1)))


def test_positions_of_extremes():
    rng = np.random.default_rng(0)
    x = rng.integers(-9, 9, (40, 333)).astype(np.float32)  # many ties
    nans = x.copy()
    nans[3, [7, 100]], nans[5, 0] = np.nan, np.nan
    for values in (x, nans, x.T, x.astype(np.int64), nans.astype(np.float64)):
        t = fakel.tensor(np.ascontiguousarray(values))
        if values is x.T:
            t = fakel.tensor(x).t()
        with running_on(Compiler(eager=True)):
            for dim in (0, 1):
                np.testing.assert_array_equal(t.argmax(dim).numpy(), values.argmax(dim))
                np.testing.assert_array_equal(t.argmin(dim).numpy(), values.argmin(dim))
                found, where = t.max(dim)
                np.testing.assert_array_equal(where.numpy(), values.argmax(dim))
                np.testing.assert_array_equal(found.numpy(), values.max(dim))
            assert t.argmax().item() == values.argmax()


def test_products_and_cumulative_sums():
    x = fakel.tensor(drawn((30, 130)))
    compare(
        lambda: arrays(
            (x * 0.1 + 1).prod(1),
            (x * 0.1 + 1).prod(0),
            x.cumsum(0),
            x.cumsum(1),
            (x * 2).cumsum(1),
        )
    )


def test_nan_spreads():
    values = drawn((20, 50))
    values[3, 17] = np.nan
    x = fakel.tensor(values)
    with running_on(Compiler(eager=True)):
        for name in ("sum", "mean", "amax", "amin", "var", "logsumexp"):
            found = getattr(x, name)(1).numpy()
            assert np.isnan(found[3]) and not np.isnan(np.delete(found, 3)).any(), name


@pytest.mark.parametrize("count", [10**5 + 3, 10**7])
def test_sums_of_many_terms_are_accurate(count):
    values = (drawn(count) + 1).astype(np.float32)
    exact = values.astype(np.longdouble).sum()
    x = fakel.tensor(values)
    with running_on(Compiler(eager=True)):
        total, mean, norm = (y.item() for y in (x.sum(), x.mean(), x.norm()))
    assert abs(total - exact) <= 2e-7 * abs(exact)
    assert abs(mean - exact / count) <= 2e-7 * abs(exact / count)
    squares = np.sqrt((values.astype(np.longdouble) ** 2).sum())
    assert abs(norm - squares) <= 2e-7 * squares


@pytest.mark.parametrize("chosen", ["AVX2", "NEON"])
@pytest.mark.parametrize(
    ("shape", "dims"),
    [((200_000,), (0,)), ((256, 16, 676), (0, 2)), ((5000, 9), (0,)), ((9, 5000), (1,))],
)
def test_rounding_errors_of_equal_terms_do_not_add_up(chosen, shape, dims):
    # added one after the other, they would all err to the same side
    x = fakel.full(shape, 0.1, dtype=fakel.float64)
    count = np.prod([shape[dim] for dim in dims])
    with written_for(chosen), running_on(Compiler(eager=True)):
        found = x.sum(dims).numpy()
    np.testing.assert_allclose(found, count * 0.1, rtol=16 * np.finfo("f8").eps)


def test_the_same_bits_every_time():
    x = fakel.tensor(drawn(10**6))
    with running_on(Compiler(eager=True)):
        assert len({(x * 1.5).sum().item() for _ in range(5)}) == 1


def test_what_reductions_read_is_computed_on_the_way():
    x, y, b = (fakel.tensor(drawn(s, i)) for i, s in enumerate([(40, 90), (40, 90), (90,)]))

    def kept():
        product = (x * y).exp()
        return arrays(product, product.sum(1), product.sum(0), product.var(0))

    compare(kept)
    compare(
        lambda: arrays(
            ((x - y) ** 2).mean(),
            (x + b).relu().sum(0),
            (x * y).logsumexp(1),
            (x.exp() + b).std(0),
            (x > y).sum(1),
            ((x - x.mean(1, keepdim=True)) ** 2).mean(1),
        )
    )
