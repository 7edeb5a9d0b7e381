"""Module: registration, traversal, conversion, modes, printing. Same scenario, both libraries."""

import copy
import pickle
from collections import OrderedDict

import pytest

import fakel
from tests.nn.both import compare, scenarios

torch = pytest.importorskip("torch")


def network(library):
    """A small network with a shared submodule, buffers and a None of each kind."""
    nn = library.nn

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Linear(3, 4)
            self.block = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.BatchNorm1d(4))
            self.again = self.first
            self.scale = nn.Parameter(library.ones(2))
            self.register_parameter("nothing", None)
            self.register_buffer("mean", library.zeros(2))
            self.register_buffer("hidden", library.ones(1), persistent=False)
            self.register_buffer("empty", None)
            self.absent = None

        def forward(self, x):
            return self.block(self.first(x)) * self.scale.sum()

    return Network()


def registration_and_names(library, report):
    model = network(library)
    report(repr(model))
    report([name for name, _ in model.named_parameters()])
    report([name for name, _ in model.named_parameters("x", recurse=False)])
    report([name for name, _ in model.named_parameters(remove_duplicate=False)])
    report([name for name, _ in model.named_buffers()])
    report([name for name, _ in model.named_modules()])
    report([name for name, _ in model.named_modules(prefix="p", remove_duplicate=False)])
    report([name for name, _ in model.named_children()])
    report(len(list(model.parameters())), len(list(model.buffers())), len(list(model.children())))
    report(list(model.state_dict()))
    report(
        [name for name in dir(model) if name in ("scale", "mean", "first", "forward", "nothing")]
    )
    report(model.get_submodule("block.0"), model.get_submodule("") is model)
    report(model.get_parameter("block.0.weight") is model.block[0].weight)
    report(model.get_buffer("block.2.running_mean"))


def wrong_names(library, report):
    model = network(library)
    report(
        lambda: model.register_buffer("a.b", None),
        lambda: model.register_buffer("", None),
        lambda: model.register_buffer(3, None),
        lambda: model.register_buffer("forward", None),
        lambda: model.register_buffer("text", "no tensor"),
        lambda: model.register_parameter("a.b", None),
        lambda: model.register_parameter("", None),
        lambda: model.register_parameter(None, None),
        lambda: model.register_parameter("first", None),
        lambda: model.register_parameter("plain", library.ones(2)),
        lambda: model.register_parameter("computed", model.scale * 2),
        lambda: model.add_module("a.b", None),
        lambda: model.add_module("", None),
        lambda: model.add_module(3, None),
        lambda: model.add_module("scale", None),
        lambda: model.add_module("number", 3),
        lambda: model.add_module("kind", library.nn.ReLU),
        lambda: setattr(model, "scale", library.ones(2)),
        lambda: setattr(model, "scale", 3),
        lambda: setattr(model, "first", 3),
        lambda: setattr(model, "first", library.ones(2)),
        lambda: setattr(model, "mean", 3),
        lambda: setattr(model, "mean", library.nn.ReLU),
        lambda: model.missing,
        lambda: model.get_submodule("block.7"),
        lambda: model.get_submodule("scale"),
        lambda: model.get_parameter("block.weight"),
        lambda: model.get_parameter("mean"),
        lambda: model.get_buffer("scale"),
        lambda: model.set_submodule("", library.nn.ReLU()),
        lambda: model.set_submodule("scale", library.nn.ReLU()),
        lambda: model.set_submodule("block.9", library.nn.ReLU(), strict=True),
        lambda: model.set_submodule("block.1", 3),
    )


def before_init(library, report):
    class Early(library.nn.Module):
        def __init__(self, what):
            self.what = what

    report(
        lambda: Early(library.nn.ReLU()),
        lambda: Early(library.nn.Parameter(library.ones(1))),
        lambda: Early(3).register_buffer("b", None),
        lambda: Early(3).register_parameter("p", None),
        lambda: Early(3).other,
        lambda: Early(3).what,
        lambda: library.nn.Module(3),
        lambda: library.nn.Module(a=3),
        lambda: library.nn.Module()(3),
        lambda: library.nn.Linear(3, 4, nonsense=1) and None,
    )


def reassignment(library, report):
    nn = library.nn
    model = network(library)
    model.mean = nn.Parameter(library.ones(2))
    report([n for n, _ in model.named_parameters()], [n for n, _ in model.named_buffers()])
    model.scale = None
    report([n for n, _ in model.named_parameters()], model.scale)
    model.absent = nn.ReLU()
    model.first = nn.Parameter(library.ones(1))
    report(repr(model), list(model.state_dict()))
    model.extra = nn.Buffer(library.ones(3), persistent=False)
    report(isinstance(model.extra, nn.Buffer), isinstance(model.extra, nn.Parameter))
    report([n for n, _ in model.named_buffers()], list(model.state_dict()))
    model.hidden = library.zeros(4)
    report(list(model.state_dict()), model.hidden)
    del model.hidden
    del model.block
    del model.mean
    report(repr(model), list(model.state_dict()))
    report(lambda: delattr(model, "block"))
    model.set_submodule("absent", nn.Tanh())
    model.set_submodule("fresh", nn.Tanh())
    report(repr(model))


def conversion(library, report):
    model = network(library)
    output = model(library.ones(2, 3)).sum()
    output.backward()
    weight = model.first.weight
    report(model.double() is model, model.first.weight is weight)
    report({n: str(p.dtype) for n, p in model.named_parameters()})
    report({n: str(b.dtype) for n, b in model.named_buffers()}, str(weight.grad.dtype))
    report(str(model.half().scale.dtype), str(model.bfloat16().scale.dtype))
    report(str(model.float().scale.dtype), str(model.to(library.float64).scale.dtype))
    report(str(model.to("cpu", library.float32).scale.dtype))
    report(str(model.to(library.ones(1, dtype=library.float64)).scale.dtype))
    report(str(model.type(library.float32).block[2].num_batches_tracked.dtype))
    report(model.cpu() is model, model.to(library.device("cpu")) is model)
    report(lambda: model.to(library.int64), lambda: model.cuda(), lambda: model.to("cuda"))
    report(
        lambda: model.to("cpu", copy=True), lambda: str(model.to_empty(device="cpu").scale.shape)
    )
    report(lambda: library.nn.ReLU().cuda())


def modes_and_gradients(library, report):
    model = network(library)
    report(model.training, model.eval() is model, [m.training for m in model.modules()])
    report(model.train() is model, [m.training for m in model.modules()])
    report(lambda: model.train("yes"))
    model(library.ones(2, 3)).sum().backward()
    report([p.grad is None for p in model.parameters()])
    model.zero_grad(set_to_none=False)
    report([p.grad for p in model.parameters()])
    model.zero_grad()
    report([p.grad is None for p in model.parameters()])
    model.block.requires_grad_(False)
    report([p.requires_grad for p in model.parameters()])
    seen = []
    report(model.apply(lambda module: seen.append(type(module).__name__)) is model, seen)


def copies(library, report):
    model = library.nn.Sequential(library.nn.Linear(3, 4), library.nn.BatchNorm1d(4))
    model.append(model[0])
    model[1].weight.requires_grad_(False)
    for copied in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        report(repr(copied), copied[2] is copied[0], copied[0].weight is model[0].weight)
        report([(n, p) for n, p in copied.named_parameters()])
        report([(n, b) for n, b in copied.named_buffers()])
    shared = copy.copy(model[0])
    report(shared.weight is model[0].weight)


def printing(library, report):
    nn = library.nn

    class Odd(nn.Module):
        def __init__(self, text):
            super().__init__()
            self.text = text

        def extra_repr(self):
            return self.text

    class Named(nn.Module):
        def _get_name(self):
            return "Something"

    both = Odd("one\ntwo")
    both.child = Odd("single")
    both.child.inner = nn.ReLU()
    both.none = None
    both.register_module("empty", None)
    report(repr(both), repr(Odd("single")), repr(Named()), str(nn.Sequential()))
    report(repr(nn.ModuleList([nn.ReLU(), nn.ReLU(), nn.Sequential(nn.Tanh())])))


def call_super_init(library, report):
    class Mixin:
        def __init__(self, word="none", **rest):
            super().__init__(**rest)
            self.word = word

    class Both(library.nn.Module, Mixin):
        call_super_init = True

        def __init__(self, word):
            super().__init__(word=word)

    report(Both("hello").word)


def registration_hooks(library, report):
    modules = library.nn.modules.module
    handles = [
        modules.register_module_parameter_registration_hook(
            lambda module, name, value: report("parameter", name)
        ),
        modules.register_module_buffer_registration_hook(
            lambda module, name, value: report("buffer", name)
        ),
        modules.register_module_module_registration_hook(
            lambda module, name, value: report("module", name)
        ),
    ]
    network(library)
    for handle in handles:
        handle.remove()
    network(library)


def parameters(library, report):
    nn = library.nn
    data = library.ones(2, 3)
    parameter = nn.Parameter(data)
    report(isinstance(parameter, library.Tensor), type(parameter).__name__, parameter.is_leaf)
    report(repr(nn.Parameter(library.zeros(2))), repr(nn.Parameter(library.zeros(1), False)))
    data[0, 0] = 5
    report(parameter, nn.Parameter().shape, type(parameter * 2).__name__)
    report(type(parameter.data).__name__, type(parameter.detach()).__name__)
    with library.no_grad():
        report(type(parameter.add_(1)).__name__, data)
    report(lambda: nn.Parameter(3), lambda: nn.Parameter(library.arange(3)))
    report(nn.Parameter(library.arange(3), requires_grad=False))
    computed = nn.Parameter(parameter * 2)
    report(computed.is_leaf, computed.grad_fn, computed.requires_grad)
    parameter.mark = "kept"
    restored = pickle.loads(pickle.dumps(parameter))
    report(restored, restored.mark, type(restored).__name__)
    duplicate = copy.deepcopy(parameter)
    report(duplicate, type(duplicate).__name__, duplicate is parameter)
    report(nn.Buffer(library.ones(2)), type(nn.Buffer(library.ones(2))).__name__)


def lazy(library, report):
    nn = library.nn
    model = nn.Sequential(nn.LazyConv2d(2, 3), nn.LazyBatchNorm2d(), nn.Flatten(), nn.LazyLinear(3))
    report(repr(model), repr(model[0].weight), list(model.state_dict()))
    report(lambda: model[0].weight.shape, model[0].has_uninitialized_params())
    report(isinstance(model[0].weight, nn.UninitializedParameter))
    report(lambda: model.share_memory() and None)
    model.double()
    report(str(model[0].weight.dtype), str(model[1].running_mean.dtype), repr(model[0].weight))
    model.float()
    report(model(library.arange(200.0).view(2, 4, 5, 5) / 100), repr(model))
    report([(n, tuple(p.shape)) for n, p in model.named_parameters()])
    loaded = nn.LazyLinear(2)
    loaded.load_state_dict(nn.Linear(4, 2).state_dict())
    report(tuple(loaded.weight.shape), repr(loaded), type(loaded).__name__)
    report(loaded(library.ones(1, 4)).shape, repr(loaded))
    report(lambda: nn.Linear(4, 2).load_state_dict(nn.LazyLinear(2).state_dict()))
    report(lambda: nn.LazyConv2d(2, 3)(library.ones(3)))
    duplicate = copy.deepcopy(nn.LazyLinear(2))
    report(repr(duplicate.weight), type(duplicate).__name__)


def data_parallel(library, report):
    model = library.nn.DataParallel(library.nn.Linear(3, 4))
    report(repr(model), list(model.state_dict()), model(library.ones(2, 3)), model.device_ids)


def ordered_network(library, report):
    layers = OrderedDict(a=library.nn.Linear(2, 2), b=library.nn.ReLU())
    model = library.nn.Sequential(layers)
    report(model, list(model.state_dict()), model.a is model[0])


@pytest.mark.parametrize("scenario", scenarios(globals()))
def test_same_as_pytorch(scenario):
    compare(scenario, fakel, torch)
