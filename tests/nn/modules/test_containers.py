"""Containers. Same scenario, both libraries."""

import copy
import pickle

import pytest

import fakel
from tests.nn.both import compare, scenarios

torch = pytest.importorskip("torch")


def layers(library, count=3):
    return [library.nn.Linear(2, 2 + each) for each in range(count)]


def sequential(library, report):
    nn = library.nn
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    report(len(model), model[-1] is model[2], model[1:], model[::2], model[:0])
    report(lambda: model[3], lambda: model[-4], lambda: model["0"], lambda: model[1.5])
    report(model(library.ones(1, 2)), list(model[1:].state_dict()))
    model.append(nn.Tanh())
    model.insert(1, nn.Dropout())
    model.insert(-1, nn.Identity())
    report(model, lambda: model.insert(9, nn.ReLU()), lambda: model.insert(0, 3))
    model.extend([nn.ELU(), nn.GELU()])
    report(model.pop(0), model.pop(slice(0, 2)), model)
    del model[0]
    del model[1:3]
    report(model, [name for name, _ in model.named_children()])
    model[0] = nn.Softsign()
    report(model, lambda: model.__setitem__(7, nn.ReLU()), lambda: model.__delitem__(9))
    report(model + nn.Sequential(nn.ReLU()), lambda: model + 3, model * 2, 2 * model)
    report(lambda: model * 0, lambda: model * 1.5, lambda: "a" * model)
    model += nn.Sequential(nn.Tanh())
    model *= 2
    report(model, lambda: model.__iadd__(3), lambda: model.__imul__(-1))
    report([type(each).__name__ for each in model], "0" in dir(model))
    report(lambda: nn.Sequential(3), lambda: nn.Sequential([nn.ReLU()]))


def module_list(library, report):
    nn = library.nn
    modules = nn.ModuleList(layers(library))
    report(modules, len(modules), modules[-1] is modules[2], modules[1:], lambda: modules[3])
    modules.append(nn.ReLU())
    modules.insert(1, nn.Tanh())
    modules.extend(nn.ReLU() for _ in range(2))
    report(modules, list(modules.state_dict()))
    modules += [nn.ELU()]
    report(modules + [nn.GELU()], modules.pop(-1), modules.pop(0))
    del modules[0]
    del modules[:1]
    modules[0] = nn.Softplus()
    report(modules, [type(each).__name__ for each in modules], "0" in dir(modules))
    report(lambda: modules.extend(3), lambda: modules.append(3), lambda: modules(library.ones(1)))
    report(nn.ModuleList(), repr(copy.deepcopy(modules)), repr(pickle.loads(pickle.dumps(modules))))


def module_dict(library, report):
    nn = library.nn
    modules = nn.ModuleDict({"a": nn.ReLU(), "b": nn.Linear(1, 2)})
    modules["c"] = nn.Tanh()
    report(modules, len(modules), list(modules), "a" in modules, "z" in modules)
    report(list(modules.keys()), list(modules.items()), list(modules.values()))
    modules.update([["d", nn.ELU()], ("a", nn.GELU())])
    modules.update(nn.ModuleDict({"e": nn.ReLU()}))
    report(modules, modules.pop("d"), modules, lambda: modules["z"], lambda: modules.pop("z"))
    del modules["b"]
    report(modules, list(modules.state_dict()))
    report(lambda: modules.update(3), lambda: modules.update([3]), lambda: modules.update([[1]]))
    report(lambda: modules.__setitem__(3, nn.ReLU()), lambda: modules.__setitem__("x", 3))
    modules.clear()
    report(modules, len(modules))


def parameter_list(library, report):
    nn = library.nn
    values = nn.ParameterList([nn.Parameter(library.ones(2)), library.zeros(1, 3), 5, "text"])
    report(values, len(values), values[1], values[-1], values[1:3], list(values.state_dict()))
    values.append(library.ones(1))
    values.extend([library.zeros(2)])
    values += [None]
    values[0] = nn.Parameter(library.zeros(4), requires_grad=False)
    report(values, [n for n, _ in values.named_parameters()], list(values)[2:4])
    report(lambda: values[9], lambda: values(1), lambda: values.extend(3))
    report(lambda: values.extend(library.ones(2)), "0" in dir(values), nn.ParameterList())


def parameter_dict(library, report):
    nn = library.nn
    values = nn.ParameterDict({"b": nn.Parameter(library.ones(2)), "a": library.zeros(1), "c": 3})
    report(values, len(values), list(values), "a" in values, values["a"], list(values.state_dict()))
    values["d"] = library.ones(1, 2)
    values.update([("e", library.ones(1))])
    report(values.get("zz", 4), values.setdefault("f"), values.setdefault("g", library.ones(1)))
    report(list(values.keys()), list(values.items()), list(values.values()), list(reversed(values)))
    report(values.pop("c"), values.popitem(), values, values.copy())
    report(values | nn.ParameterDict({"y": library.ones(1)}), values.fromkeys(["p", "q"], 1))
    del values["a"]
    report(values, lambda: values[1], lambda: values["zz"], lambda: values(1))
    report(lambda: values.update(3), lambda: values.update([3]), lambda: values.update([[1]]))
    values.clear()
    report(values, len(values))


@pytest.mark.parametrize("scenario", scenarios(globals()))
def test_same_as_pytorch(scenario):
    compare(scenario, fakel, torch)
