"""Losses: every reduction, weights, ignored targets, and derivatives up to the second."""

import numpy as np
import pytest

import fakel
from tests.nn.functional.agreement import assert_agree, numbers

pytestmark = pytest.mark.filterwarnings("ignore:reduction. 'mean' divides")
reductions = pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
SHAPES = [(4, 5), (4, 5, 3), (4, 5, 3, 2), (5,)]


def unit(*shape, seed=0):
    return np.random.default_rng((seed, *shape)).uniform(0.05, 0.95, shape)


def signs(*shape):
    return np.sign(numbers(*shape, seed=3))


def classes(shape):
    if len(shape) == 1:
        return np.array(3)
    target = np.random.default_rng(5).integers(0, 5, (shape[0], *shape[2:]))
    target.flat[0] = -100
    return target


@reductions
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("weight", [None, unit(5)], ids=["plain", "weighted"])
def test_classes(torch, shape, weight, reduction):
    x, target = numbers(*shape), classes(shape)
    chosen = {"reduction": reduction}

    def tensor(F, value, like):
        return None if value is None else like.new_tensor(value)

    for options in ({}, {"label_smoothing": 0.2}):
        assert_agree(
            torch,
            lambda F, x, t, options=options: F.cross_entropy(
                x, t, tensor(F, weight, x), **options, **chosen
            ),
            x,
            target,
        )
        assert_agree(
            torch,
            lambda F, x, t, options=options: F.cross_entropy(
                x, t, tensor(F, weight, x), **options, **chosen
            ),
            x,
            unit(*shape),
        )
    assert_agree(torch, lambda F, x, t: F.nll_loss(x, t, tensor(F, weight, x), **chosen), x, target)
    assert_agree(
        torch,
        lambda F, x, t: F.nll_loss(x, t, tensor(F, weight, x), ignore_index=2, **chosen),
        x,
        np.maximum(target, 0),
    )


PAIRS = {
    "binary_cross_entropy": (unit(3, 4), unit(3, 4, seed=1)),
    "binary_cross_entropy_with_logits": (numbers(3, 4), unit(3, 4)),
    "soft_margin_loss": (numbers(3, 4), signs(3, 4)),
    "mse_loss": (numbers(3, 4), numbers(3, 4, seed=1)),
    "l1_loss": (numbers(3, 4), numbers(3, 4, seed=1)),
    "smooth_l1_loss": (numbers(3, 4), numbers(3, 4, seed=1)),
    "huber_loss": (numbers(3, 4), numbers(3, 4, seed=1)),
    "kl_div": (numbers(3, 4), unit(3, 4)),
    "poisson_nll_loss": (numbers(3, 4), unit(3, 4)),
    "multilabel_soft_margin_loss": (numbers(3, 4), unit(3, 4)),
}


@reductions
@pytest.mark.parametrize("name", PAIRS)
def test_pairs(torch, name, reduction):
    fixed = name == "soft_margin_loss"  # its target gets no gradient
    assert_agree(
        torch,
        lambda F, x, t: getattr(F, name)(x, t.detach() if fixed else t, reduction=reduction),
        *PAIRS[name],
    )


@reductions
def test_options_of_pairs(torch, reduction):
    x, t, weight, unit_x = numbers(3, 4), numbers(3, 4, seed=1), unit(3, 4), unit(3, 4, seed=2)
    calls = [
        lambda F, x, t, w, u: F.mse_loss(x, t, weight=w, reduction=reduction),
        lambda F, x, t, w, u: F.l1_loss(x, t, weight=w, reduction=reduction),
        lambda F, x, t, w, u: F.huber_loss(x, t, reduction=reduction, delta=0.3, weight=w),
        lambda F, x, t, w, u: F.smooth_l1_loss(x, t, reduction=reduction, beta=0.3),
        lambda F, x, t, w, u: F.smooth_l1_loss(x, t, reduction=reduction, beta=0),
        lambda F, x, t, w, u: F.kl_div(x, t, reduction=reduction, log_target=True),
        lambda F, x, t, w, u: F.binary_cross_entropy(u, w, u.detach(), reduction=reduction),
        lambda F, x, t, w, u: F.binary_cross_entropy_with_logits(
            x, u, w[0].detach(), reduction=reduction, pos_weight=w[1].detach()
        ),
        lambda F, x, t, w, u: F.poisson_nll_loss(
            u, 5 * w.detach(), log_input=False, full=True, reduction=reduction
        ),
        lambda F, x, t, w, u: F.gaussian_nll_loss(x, t, u, full=True, reduction=reduction),
        lambda F, x, t, w, u: F.gaussian_nll_loss(x, t, u[:, 0], reduction=reduction),
    ]
    for call in calls:
        assert_agree(torch, call, x, t, weight, unit_x)


@reductions
def test_ranking(torch, reduction):
    x, y, z = (numbers(3, 4, seed=seed) for seed in range(3))
    sign = signs(3)
    calls = [
        lambda F, x, y, z, s: F.margin_ranking_loss(x[:, 0], y[:, 0], s, 0.3, reduction=reduction),
        lambda F, x, y, z, s: F.cosine_embedding_loss(x, y, s, 0.1, reduction=reduction),
        lambda F, x, y, z, s: F.hinge_embedding_loss(
            x, s[:, None].expand(3, 4), 0.7, reduction=reduction
        ),
        lambda F, x, y, z, s: F.triplet_margin_loss(x, y, z, swap=True, reduction=reduction),
        lambda F, x, y, z, s: F.triplet_margin_with_distance_loss(x, y, z, reduction=reduction),
    ]
    for call in calls:
        assert_agree(torch, call, x, y, z, sign)


@reductions
def test_margins(torch, reduction):
    x, target = numbers(3, 4), np.array([0, 3, 1])
    weight = unit(4)
    for p in (1, 2):
        assert_agree(
            torch,
            lambda F, x, t, p=p: F.multi_margin_loss(x, t, p, reduction=reduction),
            x,
            target,
            order=1,
        )
    assert_agree(
        torch,
        lambda F, x, t: F.multi_margin_loss(
            x, t, weight=x.new_tensor(weight), margin=0.5, reduction=reduction
        ),
        x,
        target,
        order=1,
    )
    listed = np.array([[0, 3, -1, 2], [-1, 0, 0, 0], [1, 1, 2, 3]])
    assert_agree(
        torch,
        lambda F, x, t: F.multilabel_margin_loss(x, t, reduction=reduction),
        x,
        listed,
        order=1,
    )


def test_distances(torch):
    x, y = numbers(3, 2, 4), numbers(2, 4)
    assert_agree(torch, lambda F, x, y: F.cosine_similarity(x, y, -1), x, y)
    assert_agree(torch, lambda F, x, y: F.pairwise_distance(x, y, 1, keepdim=True), x, y)
    assert_agree(torch, lambda F, x: F.pdist(x), numbers(4, 3), order=1)


@reductions
@pytest.mark.parametrize("zero_infinity", [False, True])
def test_alignments(torch, reduction, zero_infinity):
    logits = numbers(7, 3, 5)
    options = {"reduction": reduction, "zero_infinity": zero_infinity}
    if zero_infinity or reduction == "none":
        # the second target does not fit its input
        assert_agree(
            torch,
            lambda F, x, t: F.ctc_loss(F.log_softmax(x, 2), t, (7, 2, 4), (3, 2, 3), **options),
            logits,
            np.array([[1, 2, 2], [3, 3, 0], [4, 1, 4]]),
            order=1 if zero_infinity else 0,
        )
    assert_agree(
        torch,
        lambda F, x, t: F.ctc_loss(F.log_softmax(x, 2), t, (7, 5, 4), (3, 2, 1), **options),
        logits,
        np.array([1, 2, 2, 3, 1, 4]),
        order=1,
    )
    assert_agree(
        torch,
        lambda F, x, t: F.ctc_loss(
            F.log_softmax(x, 2), t, (7, 5, 4), (3, 0, 1), blank=1, **options
        ),
        logits,
        np.array([[0, 2, 2], [3, 4, 0], [4, 4, 4]]),
        order=1,
    )


def history(node):
    """The names of a backward node and of all that it hands gradients to."""
    if node is None:
        return None
    return node.name(), [history(each) for each, _ in node.next_functions]


@reductions
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", ["classes", "probabilities"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_history_of_cross_entropy(torch, reduction, shape, kind, smoothing):
    given = numbers(*shape)
    target = classes(shape) if kind == "classes" else unit(*shape)

    def found(package):
        x = package.tensor(given, requires_grad=True)
        loss = package.nn.functional.cross_entropy(
            x, package.tensor(target), reduction=reduction, label_smoothing=smoothing
        )
        return history(loss.grad_fn)

    assert found(fakel) == found(torch)


def test_the_history_of_numbers_beside_a_tensor(torch):
    def found(package):
        x = package.ones(3, requires_grad=True)
        results = (x.clamp(0, 1), x.clamp(min=0), x.clamp(max=1), x.masked_fill(x > 0, 2.0))
        return [history(result.grad_fn) for result in results]

    assert found(fakel) == found(torch)
