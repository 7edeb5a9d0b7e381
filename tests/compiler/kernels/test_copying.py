"""Copies in other orders."""

import numpy as np

import fakel
from fakel.nn import functional as F
from tests.compiler.native import both, drawn


def test_copies_in_other_orders():
    x, y = fakel.tensor(drawn(5, 6, 7)), fakel.tensor(drawn(33, 40))

    def compute():
        found = (
            x.flip(0, 2),
            x.transpose(0, 1).flip(1),
            x.roll((1, -2), (0, 2)),
            y.roll(5),
            x.repeat(2, 1, 3),
            y.repeat(2, 1, 1),
            F.pad(x, (1, 2, 0, 3), value=2.5),
            F.pad(x, (-1, 2)),
            y.tril(),
            y.t().triu(-3),
            x.tril(1),
            F.one_hot(fakel.arange(12).view(3, 4).t() % 5, 6),
        )
        return tuple(t.numpy() for t in found)

    expected, found, interpreted = both(compute)
    assert not interpreted
    for want, have in zip(expected, found, strict=True):
        np.testing.assert_array_equal(have, want)
