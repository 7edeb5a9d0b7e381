"""The base class: groups, hooks, gradients, checkpoints."""

import importlib

import pytest

import fakel
from fakel import optim

torch = pytest.importorskip("torch")


def parameter(library=fakel, value=1.0):
    return library.tensor([value, 2.0], requires_grad=True)


def both(make):
    """The errors that the same mistake raises here and in PyTorch."""
    errors = []
    for library in (fakel, torch):
        with pytest.raises(Exception) as caught:
            make(library)
        errors.append((caught.type, str(caught.value)))
    return errors


MISTAKES = {
    "tensor": lambda lib: lib.optim.SGD(parameter(lib)),
    "empty": lambda lib: lib.optim.SGD([]),
    "not a tensor": lambda lib: lib.optim.SGD([1.0]),
    "a string": lambda lib: lib.optim.SGD(["weight"]),
    "set": lambda lib: lib.optim.SGD([{"params": {parameter(lib)}}]),
    "not a leaf": lambda lib: lib.optim.SGD([parameter(lib) * 2]),
    "group is no dict": lambda lib: lib.optim.SGD([parameter(lib)]).add_param_group([1]),
    "names missing": lambda lib: lib.optim.SGD([("a", parameter(lib)), parameter(lib)]),
    "group without names": lambda lib: lib.optim.SGD([("a", parameter(lib))]).add_param_group(
        {"params": [parameter(lib)]}
    ),
    "group with names": lambda lib: lib.optim.SGD([parameter(lib)]).add_param_group(
        {"params": [("a", parameter(lib))]}
    ),
    "required": lambda lib: lib.optim.Optimizer(
        [parameter(lib)],
        {"lr": importlib.import_module(f"{lib.__name__}.optim.optimizer").required},
    ),
    "groups differ in number": lambda lib: lib.optim.SGD([parameter(lib)]).load_state_dict(
        {"state": {}, "param_groups": []}
    ),
    "groups differ in size": lambda lib: lib.optim.SGD([parameter(lib)]).load_state_dict(
        {"state": {}, "param_groups": [{"params": [0, 1]}]}
    ),
}


@pytest.mark.parametrize("name", sorted(MISTAKES))
def test_mistakes(name):
    mine, theirs = both(MISTAKES[name])
    assert mine == theirs


def test_a_parameter_is_in_one_group_only():
    def make(library):
        shared = parameter(library)
        library.optim.SGD([{"params": [shared]}, {"params": shared}])

    mine, theirs = both(make)
    assert mine == theirs


def test_duplicates_in_a_group_warn():
    shared = parameter()
    with pytest.warns(UserWarning, match="parameter group with duplicate parameters"):
        optim.SGD([shared, shared], lr=0.1)


def test_groups_get_defaults():
    first, second = parameter(), parameter()
    optimizer = optim.SGD(
        [{"params": first, "lr": 0.5}, {"params": [second]}], lr=0.1, momentum=0.9
    )
    assert [group["lr"] for group in optimizer.param_groups] == [0.5, 0.1]
    first.grad, second.grad = fakel.ones(2), fakel.ones(2)
    optimizer.step()
    assert first.tolist() == [0.5, 1.5]
    assert second.tolist() == pytest.approx([0.9, 1.9])


def test_printed_form_of_groups():
    texts = []
    for library in (fakel, torch):
        groups = [{"params": parameter(library), "lr": 0.5}, {"params": [parameter(library)]}]
        texts.append(repr(library.optim.Adam(groups, lr=0.1)))
    assert texts[0] == texts[1]


def test_names_are_kept():
    optimizer = optim.SGD([("weight", parameter()), ("bias", parameter())], lr=0.1)
    assert optimizer.state_dict()["param_groups"][0]["param_names"] == ["weight", "bias"]


def test_zero_grad():
    weight = parameter()
    optimizer = optim.SGD([weight], lr=0.1)
    (weight**2).sum().backward()
    gradient = weight.grad
    optimizer.zero_grad(set_to_none=False)
    assert weight.grad is gradient
    assert gradient.tolist() == [0.0, 0.0]
    optimizer.zero_grad()
    assert weight.grad is None


def test_closure_runs_with_gradients():
    weight = parameter()
    optimizer = optim.SGD([weight], lr=0.25)

    def closure():
        optimizer.zero_grad()
        loss = (weight**2).sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 5.0
    assert weight.tolist() == [0.5, 1.0]
    assert weight.grad_fn is None
    assert weight.requires_grad


def test_parameters_keep_their_storage():
    weight = parameter()
    alias = weight.detach()
    optimizer = optim.Adam([weight], lr=0.1)
    weight.grad = fakel.ones(2)
    optimizer.step()
    assert alias.tolist() == weight.tolist()
    assert weight.tolist() == pytest.approx([0.9, 1.9])


def test_hooks_run_in_order_and_are_removed():
    calls = []
    optimizer = optim.SGD([parameter()], lr=0.1)
    handles = [
        optim.optimizer.register_optimizer_step_pre_hook(lambda *_: calls.append("all before")),
        optimizer.register_step_pre_hook(lambda *_: calls.append("before")),
        optimizer.register_step_post_hook(lambda *_: calls.append("after")),
        optim.optimizer.register_optimizer_step_post_hook(lambda *_: calls.append("all after")),
    ]
    optimizer.step()
    assert calls == ["all before", "before", "after", "all after"]
    for handle in handles:
        handle.remove()
    optimizer.step()
    assert len(calls) == 4


def test_a_hook_may_replace_the_arguments():
    optimizer = optim.SGD([parameter()], lr=0.1)
    optimizer.register_step_pre_hook(lambda *_: ((optimizer,), {"closure": lambda: "loss"}))
    assert optimizer.step() == "loss"


def test_a_hook_with_a_wrong_result():
    optimizer = optim.SGD([parameter()], lr=0.1)
    optimizer.register_step_pre_hook(lambda *_: 3)
    with pytest.raises(RuntimeError, match="must return None or a tuple of"):
        optimizer.step()


def test_checkpoint_hooks():
    optimizer = optim.SGD([parameter()], lr=0.1)
    calls = []
    optimizer.register_state_dict_pre_hook(lambda _: calls.append("save"))
    optimizer.register_state_dict_post_hook(lambda _, state: state | {"extra": 1})
    optimizer.register_load_state_dict_pre_hook(lambda _, state: calls.append(state.pop("extra")))
    optimizer.register_load_state_dict_post_hook(lambda _: calls.append("loaded"))
    optimizer.register_state_dict_pre_hook(lambda _: calls.append("first"), prepend=True)
    state = optimizer.state_dict()
    assert state["extra"] == 1
    optimizer.load_state_dict(state)
    assert calls == ["first", "save", 1, "loaded"]


def test_own_optimizers_override_step():
    class Halving(optim.Optimizer):
        def __init__(self, params):
            super().__init__(params, {"factor": 0.5})

        @fakel.no_grad()
        def step(self, closure=None):
            for group in self.param_groups:
                for weight in group["params"]:
                    weight.mul_(group["factor"])

    weight = parameter()
    optimizer = Halving([weight])
    calls = []
    optimizer.register_step_post_hook(lambda *_: calls.append(1))
    optimizer.step()
    assert weight.tolist() == [0.5, 1.0]
    assert calls == [1]


def test_own_optimizers_implement_update():
    class SignDescent(optim.Optimizer):
        def __init__(self, params, lr=0.1):
            super().__init__(params, {"lr": lr, "maximize": False})

        def update(self, parameter, gradient, state, group):
            parameter.sub_(group["lr"] * gradient.sign())

    weight = parameter()
    optimizer = SignDescent([weight], lr=0.5)
    weight.grad = fakel.tensor([3.0, -2.0])
    optimizer.step()
    assert weight.tolist() == [0.5, 2.5]
    assert not optimizer.state


def test_the_base_class_does_not_step():
    optimizer = optim.Optimizer([parameter()], {})
    optimizer.param_groups[0]["params"][0].grad = fakel.ones(2)
    with pytest.raises(NotImplementedError):
        optimizer.step()
