"""Weights and the optimizer's state updated by the kernel of the gradient's product."""

import numpy as np
import pytest

import fakel
import fakel.nn.functional as F
from fakel import nn
from fakel.compiler.executor import Compiler
from fakel.compiler.passes.donation import UpdateInPlace
from fakel.compiler.passes.product_updates import JoinUpdates
from fakel.graph import flush
from fakel.interpreter import Interpreter
from tests.support.graphs import check, executor, graph_of, text_of

OPTIMIZERS = {
    "SGD": lambda p: fakel.optim.SGD(p, lr=0.1),
    "Nesterov": lambda p: fakel.optim.SGD(
        p, lr=0.1, momentum=0.9, weight_decay=0.1, dampening=0, nesterov=True
    ),
    "Adam": lambda p: fakel.optim.Adam(p, lr=0.01, weight_decay=0.1),
    "AdamW": lambda p: fakel.optim.AdamW(p, lr=0.01, amsgrad=True),
    "RMSprop": lambda p: fakel.optim.RMSprop(p, lr=0.01, momentum=0.5, centered=True),
    "Adagrad": lambda p: fakel.optim.Adagrad(p, lr=0.1),
}


def address(tensor):
    return tensor._storage.node.value.__array_interface__["data"][0]


def train(make, sizes, batch, dtype=fakel.float64, change=None, steps=6):
    """Weights, gradients and state after some steps, and where weights and state lay."""
    fakel.manual_seed(0)
    net = nn.Sequential(nn.Linear(sizes[0], sizes[1]), nn.Tanh(), nn.Linear(sizes[1], sizes[2]))
    net = net.to(dtype)
    optimizer = OPTIMIZERS[make](net.parameters())
    x, y = fakel.randn(batch, sizes[0], dtype=dtype), fakel.randn(batch, sizes[2], dtype=dtype)
    places = []
    for _ in range(steps):
        optimizer.zero_grad()
        F.mse_loss(net(x), y).backward()
        if change is not None:
            change(net)
        optimizer.step()
        flush()
        state = [v for p in net.parameters() for v in optimizer.state[p].values() if v.ndim]
        places.append([address(each) for each in (*net.parameters(), *state)])
    kept = [*net.parameters(), *(p.grad for p in net.parameters()), *state]
    return [each.detach().numpy().copy() for each in kept], places


class Names(Compiler):
    """Notes which operators the kernels compute together."""

    def __init__(self):
        super().__init__(eager=True)
        self.kernels = set()

    def run(self, program):
        super().run(program)
        for each in self.programs.values():
            self.kernels.update(step.operators for step in each.steps)


def compare(make, sizes, batch, **options):
    """Trains compiled and interpreted; the operators of the kernels, and the places."""
    with executor(Interpreter()):
        expected, _ = train(make, sizes, batch, **options)
    with executor(Names()) as names:
        found, places = train(make, sizes, batch, **options)
    for have, want in zip(found, expected, strict=True):
        # small gradients divided by their size (Adam) make much of roundings: mostly float64 here
        tolerance = 1e-9 if have.dtype == np.float64 else 2e-4
        np.testing.assert_allclose(have, want, rtol=tolerance, atol=tolerance / 10)
    return names.kernels, places


def updated_with_products(kernels):
    return [names for names in kernels if names[0] == "mm" and len(names) > 1]


def test_text():
    x, g, w, m = fakel.ones(7, 4), fakel.ones(7, 3), fakel.ones(3, 4), fakel.ones(3, 4)
    flush()

    def record():
        gradient = g.t().mm(x)
        m.mul_(0.5).add_(gradient)
        w.add_(m, alpha=-2)
        return gradient, x.mm(w.t())

    text = text_of(graph_of(record), UpdateInPlace(), JoinUpdates(smallest=1))
    assert (
        "  product_with_updates\n"
        "    %1 = mm(%0, $1) : float32[3, 4]\n"
        "    %2 = mul($2, $3) : float32[3, 4]\n"
        "    %3 = add(%2, %1) : float32[3, 4] replaces $2\n"
        "    %4 = add_scaled($4, %3, $5) : float32[3, 4] replaces $4\n"
    ) in text


@pytest.mark.parametrize(
    "make, threads", [("SGD", 1), ("SGD", 3), ("Adam", 3), *((make, 2) for make in OPTIMIZERS)]
)
def test_optimizers_give_what_the_interpreter_gives_in_place(make, threads):
    before = fakel.get_num_threads()
    fakel.set_num_threads(threads)
    try:
        kernels, places = compare(make, (140, 131, 130), 9)
    finally:
        fakel.set_num_threads(before)
    assert len(updated_with_products(kernels)) >= 1
    assert places[3:] == places[3:4] * 3


@pytest.mark.parametrize(
    "sizes, batch",
    [((140, 130, 3), 1000), ((140, 130, 3), 1), ((1, 20000, 1), 5), ((300, 300, 60), 40)],
)
def test_deep_products_and_narrow_weights(sizes, batch):
    kernels, _ = compare("Adam", sizes, batch, steps=4)
    assert updated_with_products(kernels)


@pytest.mark.parametrize("make", ["SGD", "Nesterov"])
def test_single_precision(make):
    kernels, _ = compare(make, (140, 130, 3), 9, dtype=fakel.float32)
    assert updated_with_products(kernels)


def test_gradients_that_somebody_needs_before_are_not_joined():
    """The update waits for the norm of all gradients, which waits for the products."""

    def clip(net):
        nn.utils.clip_grad_norm_(net.parameters(), 0.5)

    kernels, _ = compare("SGD", (140, 130, 3), 9, change=clip)
    assert not updated_with_products(kernels)


def test_gradients_that_others_change_too():
    def double(net):
        for parameter in net.parameters():
            parameter.grad.mul_(2)

    compare("Nesterov", (140, 130, 3), 9, change=double)


def test_what_reads_the_old_weight_later_gets_the_old_weight():
    fakel.manual_seed(0)
    x, g, w = fakel.randn(9, 140), fakel.randn(9, 130), fakel.randn(130, 140)

    def record():
        fakel.manual_seed(1)
        weight = w * 1
        flush()
        old = weight * 3
        gradient = g.t().mm(x)
        weight.add_(gradient, alpha=-0.1)
        return [old, gradient, weight, x.mm(weight.t())]

    check(record)


def test_a_weight_that_two_products_share():
    fakel.manual_seed(0)
    x = fakel.randn(9, 130)

    def record():
        fakel.manual_seed(1)
        net = nn.Linear(130, 130)
        optimizer = fakel.optim.SGD(net.parameters(), lr=0.01)
        for _ in range(4):
            optimizer.zero_grad()
            net(net(x).tanh()).square().mean().backward()
            optimizer.step()
            flush()
        parameters = [p.detach() for p in net.parameters()]
        return [*parameters, *(p.grad for p in net.parameters())]

    check(record)
