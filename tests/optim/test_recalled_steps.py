"""Steps that are recalled do what PyTorch's do, whatever is changed between them."""

import copy

import numpy as np
import pytest

import fakel
from fakel import optim
from fakel.recall import calls
from fakel.recall.template import Template

torch = pytest.importorskip("torch")

SHAPES = [(3, 2), (4,), (2, 2, 2)]
# these take closures, or look at the shapes of parameters
NOT_RECALLED = {"LBFGS", "Muon"}
NAMES = sorted(
    name
    for name, kind in vars(optim).items()
    if isinstance(kind, type)
    and issubclass(kind, optim.Optimizer)
    and kind is not optim.Optimizer
    and name not in NOT_RECALLED
)
SETTINGS = {
    "SGD": [{}, {"momentum": 0.9}, {"momentum": 0.9, "dampening": 0.2, "nesterov": False}],
    "RMSprop": [{"centered": True, "momentum": 0.5}],
    "Adam": [{"amsgrad": True, "maximize": True}],
}
CASES = [(name, setting) for name in NAMES for setting in SETTINGS.get(name, [{}])]


class Side:
    """One library's parameters and optimizer, fed with the same gradients as the other's."""

    def __init__(self, library, name, **setting):
        self.library = library
        generator = np.random.default_rng(0)
        self.parameters = [
            library.tensor(generator.standard_normal(shape).astype("f4"), requires_grad=True)
            for shape in SHAPES
        ]
        self.optimizer = getattr(library.optim, name)(self.parameters, **setting)
        self.gradients = np.random.default_rng(1)

    @property
    def group(self):
        return self.optimizer.param_groups[0]

    def step(self, times=1, without=()):
        for _ in range(times):
            for number, parameter in enumerate(self.parameters):
                values = self.gradients.standard_normal(tuple(parameter.shape)).astype("f4")
                parameter.grad = None if number in without else self.library.tensor(values)
            self.optimizer.step()

    def values(self):
        return [parameter.detach().numpy() for parameter in self.parameters]

    def state(self):
        return {
            (number, name): value.numpy()
            for number, state in self.optimizer.state_dict()["state"].items()
            for name, value in state.items()
            if value is not None
        }


def agree(change, name="Adam", **setting):
    """Steps often enough to be recalled, changes something, steps on; compares with PyTorch."""
    mine, theirs = Side(fakel, name, **setting), Side(torch, name, **setting)
    for side in (mine, theirs):
        side.step(6)
        change(side)
        side.step(6)
    for value, expected in zip(mine.values(), theirs.values(), strict=True):
        np.testing.assert_allclose(value, expected, rtol=2e-5, atol=2e-6)
    state, expected = mine.state(), theirs.state()
    assert state.keys() == expected.keys()
    for key, value in expected.items():
        np.testing.assert_allclose(state[key], value, rtol=2e-5, atol=2e-6)
        assert state[key].dtype == value.dtype


def templates():
    return sum(type(each) is Template for each in calls._templates.values())


@pytest.mark.parametrize(("name", "setting"), CASES)
def test_a_changing_learning_rate_makes_no_new_templates(name, setting, monkeypatch):
    kind = getattr(optim, name)
    updates = []
    update = kind.update

    def counting(*arguments):
        updates.append(1)
        update(*arguments)

    monkeypatch.setattr(kind, "update", staticmethod(counting))
    mine, theirs = Side(fakel, name, **setting), Side(torch, name, **setting)
    for step in range(1, 31):
        for side in (mine, theirs):
            side.group["lr"] = 0.01 / step
            side.step()
        if step == 15:
            known, remembered = templates(), len(calls._templates)
            updates.clear()
    assert (templates(), len(calls._templates)) == (known, remembered)
    assert not updates
    for value, expected in zip(mine.values(), theirs.values(), strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("rate", [0.0, 1.0, 2.0, 1, 0.25, np.float64(0.3)])
@pytest.mark.parametrize("name", ["SGD", "Adam", "Adadelta"])
def test_any_learning_rate(name, rate):
    agree(lambda side: side.group.update(lr=rate), name)


@pytest.mark.parametrize(
    "options",
    [
        {"weight_decay": 0.1},
        {"maximize": True},
        {"betas": (0.5, 0.5)},
        {"eps": 0.0},
        {"eps": 0.1},
    ],
)
def test_options_that_change(options):
    agree(lambda side: side.group.update(options))


@pytest.mark.parametrize(
    "options", [{"momentum": 0}, {"momentum": 1.0}, {"dampening": 0.5}, {"nesterov": True}]
)
def test_momentum_that_changes(options):
    agree(lambda side: side.group.update(options), "SGD", lr=0.1, momentum=0.5)


def test_momentum_that_begins():
    agree(lambda side: side.group.update(momentum=0.9), "SGD", lr=0.1)


@pytest.mark.parametrize("name", NAMES)
def test_a_parameter_without_gradient_for_a_while(name):
    agree(lambda side: side.step(2, without=[1]), name)


@pytest.mark.parametrize("name", NAMES)
def test_a_step_without_any_gradient(name):
    agree(lambda side: side.step(without=[0, 1, 2]), name)


def test_a_group_that_is_added():
    def add(side):
        added = side.library.ones(3, requires_grad=True)
        side.parameters.append(added)
        side.optimizer.add_param_group({"params": [added], "lr": 0.5})

    agree(add)


@pytest.mark.parametrize("name", NAMES)
def test_a_checkpoint_that_is_loaded(name):
    def load(side):
        saved = copy.deepcopy(side.optimizer.state_dict())
        side.step(3)
        side.optimizer.load_state_dict(saved)

    agree(load, name)


def test_states_that_are_written():
    def write(side):
        states = [side.optimizer.state[parameter] for parameter in side.parameters]
        states[0]["exp_avg"].zero_()
        states[1]["exp_avg_sq"] = side.library.ones(4)
        states[2]["step"].fill_(40)

    agree(write)


def test_states_that_are_forgotten():
    agree(lambda side: side.optimizer.state.clear())
    agree(lambda side: side.optimizer.state.pop(side.parameters[1]))


def test_counts_are_written_through_numpy():
    def write(side):
        side.optimizer.state[side.parameters[0]]["step"].numpy()[...] = 3

    agree(write)


def test_a_count_is_the_same_tensor_at_every_step():
    side = Side(fakel, "Adam")
    side.step()
    count = side.optimizer.state[side.parameters[0]]["step"]
    other = side.optimizer.state[side.parameters[1]]["step"]
    side.step(4)
    assert count.item() == other.item() == 5
    count.add_(1)
    assert (count.item(), other.item()) == (6, 5)


def test_parameters_that_are_written_in_place():
    def write(side):
        with side.library.no_grad():
            side.parameters[0].view(-1).mul_(0.5)
            side.parameters[1].data = side.library.ones(4)

    agree(write)


def test_a_learning_rate_in_a_tensor_that_is_written():
    sides = []
    for library in (fakel, torch):
        side = Side(library, "SGD", lr=library.tensor(0.1))
        side.step(6)
        side.group["lr"].fill_(0.3)
        side.step(6)
        sides.append(side.values())
    for value, expected in zip(*sides, strict=True):
        np.testing.assert_allclose(value, expected, rtol=2e-5, atol=2e-6)


def test_parameters_of_several_dtypes():
    values = []
    for library in (fakel, torch):
        parameters = [
            library.tensor([0.5, -1.5], dtype=kind, requires_grad=True)
            for kind in (library.float32, library.float64, library.bfloat16)
        ]
        optimizer = library.optim.Adam(parameters, lr=0.1)
        for step in range(8):
            for parameter in parameters:
                parameter.grad = library.tensor([1.0, -step], dtype=parameter.dtype)
            optimizer.step()
        values.append([parameter.detach().double().numpy() for parameter in parameters])
    for value, expected, error in zip(*values, (1e-6, 1e-12, 2e-2), strict=True):
        np.testing.assert_allclose(value, expected, rtol=error)


def test_one_optimizer_does_not_see_the_options_of_another():
    sides = []
    for library in (fakel, torch):
        first = Side(library, "AdamW", lr=0.1, eps=1e-3)
        second = Side(library, "AdamW", lr=0.01, weight_decay=0.3)
        for _ in range(8):
            first.step()
            second.step()
        sides.append([*first.values(), *second.values()])
    for value, expected in zip(*sides, strict=True):
        np.testing.assert_allclose(value, expected, rtol=2e-5, atol=2e-6)


def test_versions_count_writes():
    side = Side(fakel, "SGD", lr=0.1)
    versions = []
    for _ in range(6):
        side.step()
        versions.append(side.parameters[0]._version)
    assert np.all(np.diff(versions) == 1)
