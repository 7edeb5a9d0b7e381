"""A compiled training step is one call, and does what PyTorch's does, whatever happens between."""

import copy

import numpy as np
import pytest

import fakel

torch = pytest.importorskip("torch")

OPTIMIZERS = {
    "plain": ("SGD", {"lr": 0.1}),
    "momentum": ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 1e-3}),
    "adam": ("Adam", {"lr": 0.01}),
    "adamw": ("AdamW", {"lr": 0.01, "amsgrad": True}),
    "rmsprop": ("RMSprop", {"lr": 0.01, "centered": True, "momentum": 0.5}),
    "nadam": ("NAdam", {"lr": 0.01}),
}
WARM = 12  # steps after which everything is joined


class Side:
    """One library's network and step; the same numbers go through both."""

    def __init__(self, library, optimizer="adam", order="first"):
        nn = library.nn
        library.manual_seed(0)
        self.library = library
        self.model = nn.Sequential(
            nn.Conv2d(1, 3, 3, bias=False), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(),
            nn.Dropout(0.25), nn.Linear(48, 4),
        )  # fmt: skip
        name, options = OPTIMIZERS[optimizer]
        self.optimizer = getattr(library.optim, name)(self.model.parameters(), **options)
        self.numbers = np.random.default_rng(0)
        self.losses = []
        criterion = nn.CrossEntropyLoss()

        def step(x, y):
            if order == "first":
                self_optimizer.zero_grad()
            loss = criterion(model(x), y)
            if order == "middle":
                self_optimizer.zero_grad()
            loss.backward()
            self_optimizer.step()
            if order == "last":
                self_optimizer.zero_grad()
            return loss

        # what depends on a function is found by its code: the sides must not share it
        step.__code__ = step.__code__.replace()
        model, self_optimizer = self.model, self.optimizer
        self.step = library.compile(step) if library is fakel else step

    def steps(self, count=4, size=5):
        for _ in range(count):
            x = self.library.tensor(self.numbers.standard_normal((size, 1, 6, 6)).astype("f4"))
            y = self.library.tensor(self.numbers.integers(0, 4, size))
            self.loss = self.step(x, y)
            self.losses.append(self.loss.item())

    @property
    def joined(self):
        episodes = [e for each in self.step._compiled.episodes.values() for _, e in each]
        return any(episode.joined is not None for episode in episodes)

    def state(self):
        values = dict(self.model.state_dict())
        for number, parameter in enumerate(self.model.parameters()):
            values[f"gradient {number}"] = parameter.grad
            for name, value in self.optimizer.state.get(parameter, {}).items():
                values[f"{name} {number}"] = value
        return {name: None if v is None else np.asarray(v) for name, v in values.items()}


def agree(change=None, **settings):
    """Trains until steps are joined, changes something, trains on; compares with PyTorch."""
    mine, theirs = Side(fakel, **settings), Side(torch, **settings)
    for side in (mine, theirs):
        side.steps(WARM)
    assert mine.joined, mine.step._compiled.reason
    for side in (mine, theirs):
        if change is not None:
            change(side)
        side.steps(6)
    assert mine.losses == pytest.approx(theirs.losses, rel=2e-4)
    state, expected = mine.state(), theirs.state()
    assert state.keys() == expected.keys()
    for name, value in expected.items():
        if value is None:
            assert state[name] is None, name
        else:
            np.testing.assert_allclose(state[name], value, rtol=2e-3, atol=2e-4, err_msg=name)
    return mine


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_optimizers(optimizer):
    """With batch normalisation's statistics, dropout's draws and the steps' counts."""
    agree(optimizer=optimizer)


@pytest.mark.parametrize("order", ["first", "middle", "last"])
def test_gradients_may_be_reset_anywhere(order):
    agree(optimizer="momentum", order=order)


def learning_rate(side):
    side.optimizer.param_groups[0]["lr"] /= 3


def weight_decay(side):
    side.optimizer.param_groups[0]["weight_decay"] = 0.1


def another_batch(side):
    side.steps(2, size=3)


def evaluation(side):
    side.model.eval()


def frozen(side):
    side.model[0].weight.requires_grad_(False)


def loaded(side):
    side.optimizer.load_state_dict(copy.deepcopy(side.optimizer.state_dict()))


def fresh_state(side):
    side.optimizer.state.clear()


def state_written(side):
    for state in side.optimizer.state.values():
        state["exp_avg"].zero_()


def count_written(side):
    for state in side.optimizer.state.values():
        state["step"].fill_(1.0)


def parameter_written(side):
    with side.library.no_grad():
        side.model[-1].weight.mul_(0.5)


def parameter_seen(side):
    side.array = side.model[-1].weight.detach().numpy()


def values_kept(side):
    """Then the parameters may not be updated in place; dropout still draws once a step."""
    for _ in range(4):
        side.kept = [p.detach().clone() for p in side.model.parameters()]
        side.steps(1)


def parameter_replaced(side):
    side.model[-1].weight.data = side.model[-1].weight.detach() * 2


def gradient_set(side):
    for parameter in side.model.parameters():
        parameter.grad = side.library.ones_like(parameter)


def gradient_hooked(side):
    side.model[-1].weight.register_hook(lambda gradient: gradient * 2)


def step_hooked(side):
    side.optimizer.register_step_pre_hook(lambda *_: side.losses.append(1.0))


def another_group(side):
    side.extra = side.library.nn.Parameter(side.library.ones(3))
    side.optimizer.add_param_group({"params": [side.extra], "lr": 0.5})
    side.extra.grad = side.library.ones(3)


def layer_replaced(side):
    side.library.manual_seed(3)
    side.model[2] = side.library.nn.Tanh()


CHANGES = [
    learning_rate, weight_decay, another_batch, evaluation, frozen, loaded, fresh_state,
    state_written, count_written, parameter_written, parameter_seen, values_kept,
    parameter_replaced,
    gradient_set, gradient_hooked, step_hooked, another_group, layer_replaced,
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_what_changes_between_steps_counts(change):
    agree(change, order="last" if change is gradient_set else "first")


def chain(tensor):
    """The names of the backward nodes that lead from a tensor to a leaf."""
    names, node = [], tensor.grad_fn
    while node is not None:
        names.append(type(node).__name__)
        node = next((each for each, _ in node.next_functions if each is not None), None)
    return names


def test_the_loss_keeps_its_history():
    """It can be looked at, and says that its graph was freed."""
    side = agree()
    assert side.loss.requires_grad
    x, y = fakel.randn(5, 1, 6, 6), fakel.zeros(5, dtype=fakel.int64)
    apart = fakel.nn.CrossEntropyLoss()(side.model(x), y)
    names = chain(side.loss)
    assert names == chain(apart)
    assert (names[0], names[-1]) == ("NllLossBackward0", "AccumulateGrad")
    with pytest.raises(RuntimeError, match="second time"):
        side.loss.backward()


def test_an_array_seen_before_keeps_following_the_parameter():
    """`parameter.numpy()` shares memory, also after joined steps."""
    side = agree(parameter_seen, optimizer="plain")
    np.testing.assert_array_equal(side.array, side.model[-1].weight.detach().numpy())


def test_a_result_of_the_step_may_be_kept():
    """Losses of earlier steps stay what they were."""
    side = Side(fakel)
    side.steps(WARM)
    kept = []
    for _ in range(5):
        side.steps(1)
        kept.append((side.loss, side.losses[-1]))
    for loss, value in kept:
        assert loss.item() == value


def test_gradients_are_tensors_of_their_own():
    """Each step's are others, which keep their values, and the same whenever they are asked for."""
    mine, theirs = Side(fakel, "momentum"), Side(torch, "momentum")
    for side in (mine, theirs):
        side.steps(WARM)
    assert mine.joined
    kept = [], []
    for _ in range(4):
        for side, gradients in zip((mine, theirs), kept, strict=True):
            side.steps(1)
            gradients.append([parameter.grad for parameter in side.model.parameters()])
    for parameter, gradient in zip(mine.model.parameters(), kept[0][-1], strict=True):
        assert parameter.grad is gradient and gradient.is_leaf and gradient._version == 0
        assert parameter.grad.shape == parameter.shape
        gradient.mul_(2)
        assert copy.deepcopy(parameter).grad is not gradient
    for gradient in kept[1][-1]:
        gradient.mul_(2)
    for step, expected in zip(*kept, strict=True):
        for gradient, value in zip(step, expected, strict=True):
            np.testing.assert_allclose(gradient.numpy(), value.numpy(), rtol=2e-3, atol=2e-4)


def test_gradients_are_added_to_those_of_a_joined_step():
    mine, theirs = Side(fakel, "plain"), Side(torch, "plain")
    for side in (mine, theirs):
        side.steps(WARM)
        for parameter in side.model.parameters():
            (parameter * 2).sum().backward()
    for ours, expected in zip(mine.model.parameters(), theirs.model.parameters(), strict=True):
        np.testing.assert_allclose(ours.grad.numpy(), expected.grad.numpy(), rtol=2e-3, atol=2e-4)


def test_tensors_that_shared_a_value_when_a_step_was_watched():
    """A copy has the same value until one of both is written."""

    def train(library):
        weight = library.ones(300, requires_grad=True)
        first = library.ones(300)
        second, third = copy.deepcopy(first), copy.deepcopy(first)
        optimizer = library.optim.SGD([weight], lr=0.1)

        def step(x):
            optimizer.zero_grad()
            loss = (weight * first * x + weight * second * 3 + third * 5).sum()
            loss.backward()
            optimizer.step()
            return loss

        step.__code__ = step.__code__.replace()
        run = library.compile(step) if library is fakel else step
        x, losses = library.ones(300), []
        for number in range(3 * WARM):
            if number == WARM:
                second.fill_(0.0)
            if number == 2 * WARM:
                third.fill_(2.0)
            losses.append(run(x).item())
        return losses

    assert train(fakel) == pytest.approx(train(torch), rel=1e-5)
