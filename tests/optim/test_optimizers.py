"""Every optimizer class, found by discovery, does what PyTorch's does."""

import copy
import inspect
import warnings

import numpy as np
import pytest

import fakel
from fakel import optim
from fakel.interpreter import Interpreter
from tests.support.graphs import executor

torch = pytest.importorskip("torch")

STEPS = 25
SHAPES = [(4, 3), (5,), (), (2, 3, 2)]

OPTIMIZERS = {
    name: kind
    for name, kind in vars(optim).items()
    if inspect.isclass(kind) and issubclass(kind, optim.Optimizer) and kind is not optim.Optimizer
}

# Settings beyond the defaults. A new optimizer is tested with its defaults without an entry here.
SETTINGS = {
    "SGD": [
        {"lr": 0.1},
        {"lr": 0.1, "momentum": 0.9},
        {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.01},
        {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
    ],
    "Adam": [
        {"lr": 0.1, "weight_decay": 0.1},
        {"amsgrad": True, "betas": (0.5, 0.7)},
        {"decoupled_weight_decay": True, "weight_decay": 0.3, "eps": 1e-3},
    ],
    "AdamW": [{"lr": 0.1, "weight_decay": 0.5, "amsgrad": True}],
    "Adagrad": [
        {"lr": 0.1, "lr_decay": 0.1, "weight_decay": 0.1, "initial_accumulator_value": 0.5}
    ],
    "RMSprop": [
        {"momentum": 0.9, "weight_decay": 0.1},
        {"centered": True, "alpha": 0.8},
        {"centered": True, "momentum": 0.5, "eps": 1e-2},
    ],
    "Adadelta": [{"lr": 0.5, "rho": 0.6, "weight_decay": 0.1, "eps": 1e-3}],
    "Adamax": [{"lr": 0.1, "weight_decay": 0.1, "betas": (0.5, 0.7)}],
    "NAdam": [
        {"weight_decay": 0.1, "momentum_decay": 0.1},
        {"weight_decay": 0.1, "decoupled_weight_decay": True},
    ],
    "RAdam": [
        {"weight_decay": 0.1, "lr": 0.1},
        {"weight_decay": 0.1, "decoupled_weight_decay": True, "betas": (0.8, 0.9)},
    ],
    "ASGD": [{"lr": 0.1, "t0": 5.0, "lambd": 0.1, "alpha": 0.5, "weight_decay": 0.1}],
    "Rprop": [{"lr": 0.1, "etas": (0.3, 1.5), "step_sizes": (0.01, 0.3)}],
    "Adafactor": [{"lr": 0.1, "weight_decay": 0.1, "eps": (1e-3, 1e-2), "d": 1.5}],
    "Muon": [{"nesterov": False, "lr": 0.01}, {"adjust_lr_fn": "match_rms_adamw"}],
    "LBFGS": [{"lr": 0.5, "history_size": 3}, {"line_search_fn": "strong_wolfe"}],
}
CASES = [
    (name, setting) for name in sorted(OPTIMIZERS) for setting in [{}, *SETTINGS.get(name, [])]
]
# The formulas in bfloat16 matrix products round differently.
TOLERANCE = {"Muon": {"rtol": 2e-2, "atol": 2e-2}, "LBFGS": {"rtol": 1e-3, "atol": 1e-4}}
# These take no plain gradient steps, or no parameters but matrices.
OWN_STEP = {"LBFGS"}
MATRICES_ONLY = {"Muon"}


def close(name):
    return TOLERANCE.get(name, {"rtol": 2e-5, "atol": 2e-6})


def arrays(value):
    """Tensors in nested containers as NumPy arrays."""
    if isinstance(value, dict):
        return {key: arrays(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [arrays(entry) for entry in value]
    return value.detach().numpy() if hasattr(value, "detach") else value


def tensors(value, library):
    """NumPy arrays in nested containers as tensors of a library."""
    if isinstance(value, dict):
        return {key: tensors(entry, library) for key, entry in value.items()}
    if isinstance(value, list):
        return [tensors(entry, library) for entry in value]
    return library.tensor(value) if isinstance(value, (np.ndarray, np.generic)) else value


class Side:
    """One library's parameters and optimizer, fed with the same gradients as the other's."""

    def __init__(self, library, name, setting, dtype="float32", shapes=None):
        self.library = library
        self.name = name
        if shapes is None:
            shapes = [s for s in SHAPES if len(s) == 2] if name in MATRICES_ONLY else SHAPES
        generator = np.random.default_rng(0)
        self.parameters = [
            library.tensor(_numbers(generator, shape, dtype), requires_grad=True)
            for shape in shapes
        ]
        self.dtype = dtype
        self.optimizer = getattr(library.optim, name)(self.parameters, **setting)

    def run(self, steps, seed=1):
        generator = np.random.default_rng(seed)
        for _ in range(steps):
            if self.name in OWN_STEP:
                self.optimizer.step(self.closure)
                continue
            for parameter in self.parameters:
                gradient = _numbers(generator, tuple(parameter.shape), self.dtype)
                parameter.grad = self.library.tensor(gradient)
            self.optimizer.step()

    def closure(self):
        self.optimizer.zero_grad()
        loss = sum(((p - 1) ** 4 + p**2 * 0.3).sum() for p in self.parameters)
        loss.backward()
        return loss

    def values(self):
        return arrays(self.parameters)


def _numbers(generator, shape, dtype):
    values = generator.standard_normal(shape)
    if np.dtype(dtype).kind == "c":
        values = values + 1j * generator.standard_normal(shape)
    return np.asarray(values, dtype=dtype)


def assert_same(mine, theirs, tolerance):
    if isinstance(theirs, dict):
        assert mine.keys() == theirs.keys()
        for key in theirs:
            assert_same(mine[key], theirs[key], tolerance)
    elif isinstance(theirs, list):
        assert len(mine) == len(theirs)
        for entry, other in zip(mine, theirs):
            assert_same(entry, other, tolerance)
    elif isinstance(theirs, (np.ndarray, np.generic, float)):
        np.testing.assert_allclose(mine, theirs, **tolerance)
        if isinstance(theirs, np.ndarray):
            assert mine.dtype == theirs.dtype
            assert mine.shape == theirs.shape
    else:
        assert mine == theirs


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_signature(name):
    mine = inspect.signature(OPTIMIZERS[name].__init__)
    theirs = inspect.signature(getattr(torch.optim, name).__init__)
    assert [(p.name, p.kind, p.default) for p in mine.parameters.values()] == [
        (p.name, p.kind, p.default) for p in theirs.parameters.values()
    ]


@pytest.mark.parametrize(("name", "setting"), CASES)
def test_same_numbers(name, setting):
    mine, theirs = Side(fakel, name, setting), Side(torch, name, setting)
    steps = 3 if name in OWN_STEP else STEPS
    mine.run(steps)
    theirs.run(steps)
    assert_same(mine.values(), theirs.values(), close(name))
    if name not in OWN_STEP:
        state = arrays(mine.optimizer.state_dict())
        assert_same(state, arrays(theirs.optimizer.state_dict()), close(name))


@pytest.mark.parametrize(("name", "setting"), CASES)
def test_other_settings(name, setting):
    if name in OWN_STEP:
        pytest.skip("has no maximize")
    if "maximize" in inspect.signature(OPTIMIZERS[name]).parameters:
        setting = setting | {"maximize": True}
    mine, theirs = (Side(each, name, setting, "float64") for each in (fakel, torch))
    mine.run(STEPS)
    theirs.run(STEPS)
    # Counts kept in 0-dimensional float32 tensors limit what float64 parameters agree to.
    exact = (
        {"rtol": 1e-6, "atol": 1e-7} if name in ("NAdam", "ASGD") else {"rtol": 1e-9, "atol": 1e-10}
    )
    assert_same(mine.values(), theirs.values(), TOLERANCE.get(name, exact))


@pytest.mark.parametrize(("name", "setting"), CASES)
def test_checkpoints_both_ways(name, setting):
    steps = 2 if name in OWN_STEP else 6
    for first, second in ((fakel, torch), (torch, fakel)):
        one, other = Side(first, name, setting), Side(second, name, setting)
        one.run(steps)
        values, state = one.values(), arrays(one.optimizer.state_dict())
        with second.no_grad():
            for parameter, value in zip(other.parameters, values):
                parameter.copy_(second.tensor(value))
        other.optimizer.load_state_dict(copy.deepcopy(tensors(state, second)))
        one.run(steps, seed=2)
        other.run(steps, seed=2)
        assert_same(other.values(), one.values(), close(name))


@pytest.mark.parametrize(("name", "setting"), CASES)
def test_complex_parameters(name, setting):
    if name in ("Adafactor", "Muon"):
        pytest.skip("refuses complex parameters")
    if name in OWN_STEP:
        pytest.skip("the closure's loss would be complex")
    mine, theirs = (
        Side(each, name, setting, "complex64", [(3, 2), (4,)]) for each in (fakel, torch)
    )
    mine.run(10)
    theirs.run(10)
    assert_same(mine.values(), theirs.values(), close(name))
    state = arrays(mine.optimizer.state_dict())
    assert_same(state, arrays(theirs.optimizer.state_dict()), close(name))


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_learning_rate_in_a_tensor(name):
    sides = []
    for library in (fakel, torch):
        side = Side(library, name, {"lr": library.tensor([0.05])})
        side.run(2 if name in OWN_STEP else 5)
        sides.append(side)
    # PyTorch computes with the tensor's float32 value.
    assert_same(sides[0].values(), sides[1].values(), close(name))


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_refuses_a_negative_learning_rate(name):
    messages = []
    for library in (fakel, torch):
        with pytest.raises(ValueError) as caught:
            Side(library, name, {"lr": -0.5})
        messages.append(str(caught.value))
    assert messages[0] == messages[1]


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        ("SGD", {"momentum": -1.0}),
        ("SGD", {"weight_decay": -1.0}),
        ("SGD", {"nesterov": True}),
        ("SGD", {"fused": True, "foreach": True}),
        ("Adam", {"betas": (1.0, 0.5)}),
        ("Adam", {"betas": (0.5, -0.5)}),
        ("Adam", {"eps": -1.0}),
        ("AdamW", {"weight_decay": -1.0}),
        ("Adam", {"fused": True, "differentiable": True}),
        ("Adagrad", {"lr_decay": -1.0}),
        ("Adagrad", {"initial_accumulator_value": -1.0}),
        ("RMSprop", {"alpha": -1.0}),
        ("Adadelta", {"rho": 1.5}),
        ("NAdam", {"momentum_decay": -1.0}),
        ("Rprop", {"etas": (1.5, 2.0)}),
        ("Adafactor", {"d": 0.5}),
        ("Adafactor", {"beta2_decay": 0.5}),
        ("Muon", {"adjust_lr_fn": "unknown"}),
    ],
)
def test_refuses_what_pytorch_refuses(name, setting):
    errors = []
    for library in (fakel, torch):
        with pytest.raises((ValueError, RuntimeError)) as caught:
            Side(library, name, setting)
        errors.append((caught.type, str(caught.value)))
    assert errors[0] == errors[1]


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_printed_form(name):
    assert repr(Side(fakel, name, {}).optimizer) == repr(Side(torch, name, {}).optimizer)


@pytest.fixture
def interpreted():
    """The interpreter runs all programs, not a compiled one from some sight on, which rounds in its
    own way: the same steps give the same bits.
    """
    with executor(Interpreter()):
        yield


@pytest.mark.parametrize("name", sorted(set(OPTIMIZERS) - OWN_STEP))
def test_survives_a_deep_copy(name, interpreted):
    side, other = Side(fakel, name, {}), Side(fakel, name, {})
    side.run(2)
    other.parameters, other.optimizer = copy.deepcopy((side.parameters, side.optimizer))
    side.run(2, seed=2)
    other.run(2, seed=2)
    assert_same(other.values(), side.values(), {"rtol": 0, "atol": 0})


@pytest.mark.parametrize("name", sorted(set(OPTIMIZERS) - OWN_STEP))
def test_leaves_parameters_without_gradient_alone(name):
    side = Side(fakel, name, {})
    before = copy.deepcopy(side.values())
    side.optimizer.step()
    assert_same(side.values(), before, {"rtol": 0, "atol": 0})


@pytest.mark.parametrize(
    "name",
    [n for n in sorted(OPTIMIZERS) if "capturable" in inspect.signature(OPTIMIZERS[n]).parameters],
)
def test_capturable_is_refused_on_a_cpu(name):
    errors = []
    for library in (fakel, torch):
        with pytest.raises(AssertionError, match="supported devices") as caught:
            Side(library, name, {"capturable": True}).run(1)
        errors.append(str(caught.value))
    assert errors[0][:24] == errors[1][:24]


@pytest.mark.parametrize(
    "name", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "Adadelta", "NAdam", "RAdam"]
)
def test_differentiable_steps(name):
    gradients = []
    for library in (fakel, torch):
        start = library.tensor([0.5, -1.5, 2.0], requires_grad=True)
        slope = library.tensor([0.3, -0.2, 0.7], requires_grad=True)
        parameter = start.clone()
        optimizer = getattr(library.optim, name)([parameter], lr=0.1, differentiable=True)
        for _ in range(3):
            parameter.grad = slope * 2
            optimizer.step()
        (parameter**2).sum().backward()
        gradients.append(arrays([start.grad, slope.grad]))
    assert_same(gradients[0], gradients[1], {"rtol": 1e-4, "atol": 1e-5})


def test_learning_rate_may_need_a_gradient():
    rates = []
    for library in (fakel, torch):
        rate = library.tensor(0.1, requires_grad=True)
        parameter = library.tensor([0.5, -1.5], requires_grad=True).clone()
        optimizer = library.optim.SGD([parameter], lr=rate, differentiable=True)
        parameter.grad = library.tensor([1.0, 2.0])
        optimizer.step()
        parameter.sum().backward()
        rates.append(rate.grad.item())
    assert rates[0] == rates[1]


def test_old_checkpoint_with_a_number_for_the_step():
    side = Side(fakel, "Adam", {})
    side.run(3)
    state = side.optimizer.state_dict()
    for entry in state["state"].values():
        entry["step"] = 3
    for group in state["param_groups"]:
        del group["maximize"]
    side.optimizer.load_state_dict(state)
    assert side.optimizer.param_groups[0]["maximize"] is False
    side.run(1)
    assert side.optimizer.state[side.parameters[0]]["step"].item() == 4


def test_warnings_are_none():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Side(fakel, "SGD", {}).run(2)
