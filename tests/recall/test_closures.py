"""Compiled functions of the same code, which hold different things, are replayed each by itself."""

import numpy as np
import pytest

import fakel


def made(torch, name, seed):
    """A training step, and what it trains; all of these share their code."""
    torch.manual_seed(seed)
    model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Tanh(), torch.nn.Linear(3, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    scale = torch.tensor(seed + 1.0)

    def loss_of(x):
        return (model(x) * scale).square().mean()

    def direct(x):
        optimizer.zero_grad()
        loss = (model(x) * scale).square().mean()
        loss.backward()
        optimizer.step()
        return loss

    def nested(x):
        optimizer.zero_grad()
        loss = loss_of(x)
        loss.backward()
        optimizer.step()
        return loss

    class Method:
        def step(self, x):
            return nested(x)

    steps = {"direct": direct, "nested": nested, "method": Method().step}
    return steps[name], model


@pytest.mark.parametrize("name", ["direct", "nested", "method"])
def test_functions_of_the_same_code_are_replayed(torch, name):
    expected = [made(torch, name, seed) for seed in range(3)]
    found = [made(fakel, name, seed) for seed in range(3)]
    compiled = [fakel.compile(step) for step, _ in found]
    for turn in range(12):
        for (plain, _), step in zip(expected, compiled):
            x = (torch.arange(8.0).reshape(2, 4) + turn).cos()
            loss = step(fakel.tensor(x.tolist()))
            assert loss.item() == pytest.approx(plain(x).item(), rel=1e-4)
    for (_, model), (_, oracle), step in zip(found, expected, compiled):
        assert step._compiled.reason is None and step._compiled.count == 1
        for have, want in zip(model.parameters(), oracle.parameters()):
            np.testing.assert_allclose(have.detach().numpy(), want.detach().numpy(), rtol=1e-4)


def test_what_one_closure_holds_may_change(torch):
    def scaled(factor):
        def step(x):
            return (x * factor).sum()

        def change(other):
            nonlocal factor
            factor = other

        return step, change

    pairs = [scaled(fakel.tensor(2.0)), scaled(fakel.tensor(3.0))]
    compiled = [fakel.compile(step) for step, _ in pairs]
    x = fakel.ones(4)
    for _ in range(6):
        assert [step(x).item() for step in compiled] == [8.0, 12.0]
    pairs[0][1](fakel.tensor(5.0))
    for _ in range(6):
        assert [step(x).item() for step in compiled] == [20.0, 12.0]


def test_defaults_by_keyword_are_guarded():
    factors = [2.0]

    def step(x, *, by=factors):
        return x * by[0]

    compiled = fakel.compile(step)
    assert [compiled(fakel.ones(())).item() for _ in range(5)] == [2.0] * 5
    factors[0] = 3.0
    assert compiled(fakel.ones(())).item() == 3.0


def test_a_tuple_in_a_list_is_replaced():
    """A tuple cannot change, but what holds it can."""
    weight = fakel.ones(3, requires_grad=True)
    numbers = [(2.0, 3.0)]

    @fakel.compile
    def step(x):
        loss = (weight * x * numbers[0][0] + numbers[0][1]).sum()
        loss.backward()
        return loss

    for number in range(24):
        if number % 6 == 5:
            numbers[0] = (float(number), number + 1.0)
        factor, term = numbers[0]
        assert step(fakel.ones(3)).item() == 3 * (factor + term)
