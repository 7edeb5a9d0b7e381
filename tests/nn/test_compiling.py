"""``torch.compile``: replayed calls do what the function would have done."""

import pytest

import fakel as torch
from fakel import nn
from fakel.nn import functional as F


def _model():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Dropout(0.3), nn.Linear(36, 10),
    )  # fmt: skip


def _losses(optimizer_class, compiled, steps=12, **options):
    model = _model()
    optimizer = optimizer_class(model.parameters(), **options)

    def step(x, y):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    run = torch.compile(step) if compiled else step
    losses = []
    for number in range(steps):
        if number == 8:
            optimizer.param_groups[0]["lr"] /= 2
        size = 5 if number == 9 else 8
        loss = run(torch.randn(size, 1, 8, 8), torch.randint(0, 10, (size,)))
        losses.append(loss.item())
    if compiled:
        assert run._compiled.reason is None
        assert run._compiled.episodes
    return losses, {name: value.tolist() for name, value in model.state_dict().items()}


@pytest.mark.parametrize(
    "optimizer, options",
    [
        (torch.optim.SGD, {"lr": 0.1}),
        (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "weight_decay": 1e-4}),
        (torch.optim.Adam, {"lr": 0.01}),
    ],
    ids=["SGD", "momentum", "Adam"],
)
def test_a_step_trains_as_it_does_uncompiled(optimizer, options):
    """With batch normalisation, dropout, a changing learning rate and another batch size."""
    expected, expected_state = _losses(optimizer, False, **options)
    found, state = _losses(optimizer, True, **options)
    assert found == pytest.approx(expected, rel=1e-5)
    for name, value in expected_state.items():
        assert torch.tensor(state[name]).allclose(torch.tensor(value), rtol=1e-4, atol=1e-5), name


factor = 2.0


def _scaled(x):
    return x * factor


def test_a_global_that_changes_is_seen():
    global factor
    run, x = torch.compile(_scaled), torch.tensor([1.0, 2.0])
    for value in (2.0, 2.0, 2.0, 2.0, 2.0, 3.0, 3.0, 5.0, 5.0, 5.0, 5.0, 5.0):
        factor = value
        assert run(x).tolist() == [value, 2 * value]
    assert run._compiled.reason is None


def test_a_closure_that_changes_is_seen():
    offset = 1.0
    run = torch.compile(lambda x: x + offset)
    for value in (1.0, 1.0, 1.0, 1.0, 4.0, 4.0):
        offset = value
        assert run(torch.zeros(1)).item() == value


def test_a_list_that_changes_is_seen():
    weights = [1.0, 2.0]
    run = torch.compile(lambda x: x * weights[0] + weights[1])
    for value in (1.0, 1.0, 1.0, 1.0, 4.0, 4.0, 4.0, 4.0, 6.0):
        weights[0] = value
        assert run(torch.ones(1)).item() == value + 2


class _Gated(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear, self.gain = nn.Linear(2, 2), 1.0

    def forward(self, x, double=False):
        y = self.linear(x) * self.gain
        return y * 2 if double else y


def test_changes_of_a_module_are_seen():
    model = _Gated()
    run, x = torch.compile(model), torch.ones(3, 2)
    for number in range(20):
        if number == 8:
            model.gain = 3.0
        if number == 12:
            model.linear = nn.Linear(2, 2)
        if number == 16:
            model.linear.weight.requires_grad_(False)
        y = run(x, double=number % 2 == 0)
        expected = F.linear(x, model.linear.weight, model.linear.bias) * model.gain
        expected = expected * 2 if number % 2 == 0 else expected
        assert torch.allclose(y, expected)
        y.sum().backward()
        assert (model.linear.weight.grad is None) == (number >= 16)
        model.linear.bias.grad = model.linear.weight.grad = None


def test_training_and_evaluation():
    model = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5))
    run, x = torch.compile(model), torch.ones(6, 4)
    for number in range(16):
        model.train(number % 4 < 2)
        dropped = (run(x) == 0).any().item()
        assert dropped == (number % 4 < 2)


def test_what_lasts_is_done_every_time(capsys):
    seen = []

    def function(x):
        seen.append(x.shape)
        print("called")
        return x + 1

    run = torch.compile(function)
    for _ in range(8):
        assert run(torch.ones(2)).tolist() == [2, 2]
    assert len(seen) == 8
    assert capsys.readouterr().out == "called\n" * 8
    assert run._compiled.reason is not None


def test_decisions_on_values_are_made_every_time():
    run = torch.compile(lambda x: x * 2 if x.sum() > 0 else x - 1)
    for number in range(12):
        sign = 1 if number % 2 else -1
        assert run(torch.ones(2) * sign).tolist() == ([2, 2] if sign > 0 else [-2, -2])


def test_random_numbers_are_drawn_anew_from_the_same_stream():
    def function(x):
        return F.dropout(x, 0.5)

    run, x = torch.compile(function), torch.ones(16)
    torch.manual_seed(3)
    expected = [function(x).tolist() for _ in range(8)]
    torch.manual_seed(3)
    assert [run(x).tolist() for _ in range(8)] == expected
    assert expected[-1] != expected[-2]


def test_results_may_be_nested():
    run = torch.compile(lambda x: {"twice": x * 2, "both": (x + 1, [x, 3])})
    for number in range(8):
        x = torch.tensor([float(number)])
        found = run(x)
        assert found["twice"].item() == 2 * number
        assert found["both"][0].item() == number + 1
        assert found["both"][1][0] is x and found["both"][1][1] == 3


def test_gradients_flow_through_a_replayed_call():
    weight = torch.tensor([2.0, 3.0], requires_grad=True)
    run = torch.compile(lambda x: (x * weight).tanh())
    for number in range(8):
        x = torch.full((2,), 0.1 * number, requires_grad=True)
        weight.grad = None
        run(x * 1).sum().backward()
        slope = 1 - (x * weight).tanh().detach() ** 2
        assert torch.allclose(weight.grad, slope * x)
        assert torch.allclose(x.grad, slope * weight)


def test_values_from_between_actions_may_be_used_later():
    weight = torch.tensor([2.0], requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=0.1)

    @torch.compile
    def step(x):
        optimizer.zero_grad()
        y = x * weight
        y.sum().backward()
        optimizer.step()
        return y.detach() + 1, weight * 1

    current = 2.0
    for _ in range(10):
        y, after = step(torch.ones(1))
        assert y.item() == pytest.approx(current + 1)
        current -= 0.1
        assert after.item() == pytest.approx(current)


def test_the_compiled_module_is_a_module():
    """The names in its state dict are PyTorch's."""
    ours = torch.compile(_Gated())
    assert list(ours.state_dict()) == ["_orig_mod.linear.weight", "_orig_mod.linear.bias"]
    assert ours.gain == 1.0 and len(list(ours.parameters())) == 2
    ours.gain = 2.0
    assert ours._orig_mod.gain == 2.0
    assert not ours.eval().training and not ours._orig_mod.training


def test_a_module_compiles_itself():
    model = _Gated()
    model.compile()
    for number in range(6):
        x = torch.ones(1, 2) * number
        assert torch.allclose(model(x), F.linear(x, model.linear.weight, model.linear.bias))
    assert model._compiled_call_impl.reason is None


@pytest.mark.parametrize(
    "options, text",
    [
        ({"backend": "nonsense"}, "backend"),
        ({"mode": "nonsense"}, "Unrecognized mode=nonsense"),
        ({"mode": "default", "options": {}}, "Either mode or options"),
        ({"options": {"nonsense": True}}, "Unexpected optimization option nonsense"),
    ],
    ids=["backend", "mode", "mode and options", "options"],
)
def test_unknown_options_are_refused(options, text):
    with pytest.raises(RuntimeError, match=text):
        torch.compile(_scaled, **options)


def test_a_decorator_with_options():
    @torch.compile(mode="reduce-overhead")
    def double(x):
        return x * 2

    assert [double(torch.ones(1)).item() for _ in range(6)] == [2.0] * 6
    assert torch.compile(_scaled, disable=True) is _scaled


def test_a_sequential_is_replayed_and_freed():
    """Nothing is watched: its layers are fakel's own. A model goes when its last user does."""
    import gc
    import weakref

    gc.collect()
    gc.disable()
    try:
        model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Dropout(0.5), nn.Linear(4, 2))
        torch.manual_seed(1)
        for number in range(10):
            model.train(number % 2 == 0)
            x = torch.randn(5, 3)
            state = torch.get_rng_state()
            y = model(x)
            after = torch.get_rng_state()
            torch.set_rng_state(state)
            assert torch.equal(y, model.run_layers(x))
            assert torch.equal(torch.get_rng_state(), after)
        layers = model.__dict__["_layers"]
        assert layers.reason is None and layers.count == 2
        model[0].register_forward_hook(lambda module, args, output: output * 0)
        assert torch.equal(model(x), model.run_layers(x))
        gone = weakref.ref(model)
        del model, layers, y
        assert gone() is None
    finally:
        gc.enable()
