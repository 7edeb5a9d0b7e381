"""Hooks of modules. Same scenario, both libraries."""

import pytest

import fakel
from tests.nn.both import compare, scenarios

torch = pytest.importorskip("torch")


def noted(report, label, result=None):
    def hook(module, *values):
        report(label, type(module).__name__, values)
        return result(*values) if result else None

    return hook


def forward_hooks(library, report):
    layer = library.nn.Linear(2, 2)
    x = library.ones(1, 2)
    first = layer.register_forward_hook(noted(report, "after"))
    layer.register_forward_hook(noted(report, "first", lambda args, out: out * 2), prepend=True)
    layer.register_forward_pre_hook(noted(report, "before", lambda args: args[0] * 3))
    layer.register_forward_pre_hook(noted(report, "tuple", lambda args: (args[0] + 1,)))
    report(layer(x))
    first.remove()
    first.remove()
    report(layer(x))
    with layer.register_forward_hook(noted(report, "inside")):
        layer(x)
    layer(x)


def keyword_hooks(library, report):
    class Adder(library.nn.Module):
        def forward(self, x, plus=1):
            return x + plus

    layer = Adder()
    x = library.ones(2)
    layer.register_forward_pre_hook(noted(report, "plain"))
    handle = layer.register_forward_pre_hook(
        lambda module, args, kwargs: (args, {"plus": kwargs["plus"] + 1}), with_kwargs=True
    )
    layer.register_forward_hook(
        lambda module, args, kwargs, output: report(sorted(kwargs.items()), output),
        with_kwargs=True,
    )
    report(layer(x, plus=5))
    handle.remove()
    layer.register_forward_pre_hook(lambda module, args, kwargs: 3, with_kwargs=True)
    report(lambda: layer(x, plus=1))


def hooks_that_always_run(library, report):
    class Failing(library.nn.Module):
        def forward(self, x):
            raise ValueError("forward failed")

    layer = Failing()
    layer.register_forward_hook(noted(report, "never"))
    layer.register_forward_hook(noted(report, "always"), always_call=True)
    report(lambda: layer(library.ones(1)))

    def broken(module, args, output):
        raise TypeError("hook failed")

    layer.register_forward_hook(broken, always_call=True)
    report(lambda: layer(library.ones(1)))


def global_hooks(library, report):
    module = library.nn.modules.module
    model = library.nn.Sequential(library.nn.Linear(2, 2), library.nn.ReLU())
    x = library.ones(1, 2, requires_grad=True)
    handles = [
        module.register_module_forward_pre_hook(noted(report, "before")),
        module.register_module_forward_hook(noted(report, "after")),
        module.register_module_full_backward_pre_hook(noted(report, "before backward")),
        module.register_module_full_backward_hook(noted(report, "after backward")),
    ]
    model(x).sum().backward()
    for handle in handles:
        handle.remove()
    model(x).sum().backward()
    report(x.grad)


def full_backward_hooks(library, report):
    class Two(library.nn.Module):
        def forward(self, a, b, factor):
            return a * b * factor, a + b

    layer = Two()
    layer.register_full_backward_hook(noted(report, "hook"))
    layer.register_full_backward_hook(
        noted(report, "first", lambda grads, _: (None, grads[1], None)), prepend=True
    )
    layer.register_full_backward_pre_hook(noted(report, "before"))
    a, b = library.ones(2, requires_grad=True), library.zeros(2)
    product, total = layer(a, b, 3)
    report(product, total)
    product.sum().backward()
    report(a.grad)
    (layer(a, b, 2)[1] * 2).sum().backward()
    report(a.grad)


def hooks_that_change_gradients(library, report):
    layer = library.nn.Linear(2, 2)
    layer.register_full_backward_hook(lambda module, grad_in, grad_out: (grad_in[0] * 10,))
    layer.register_full_backward_pre_hook(lambda module, grad_out: (grad_out[0] * 2,))
    x = library.ones(1, 2, requires_grad=True)
    layer(x).sum().backward()
    report(x.grad, layer.weight.grad, layer.bias.grad)


def hooks_without_input_gradients(library, report):
    layer = library.nn.Linear(2, 2)
    handle = layer.register_full_backward_hook(noted(report, "hook"))
    layer(library.ones(1, 2)).sum().backward()
    report(layer.bias.grad)
    with library.no_grad():
        report(layer(library.ones(1, 2)))
    handle.remove()
    layer.register_full_backward_hook(lambda module, grad_in, grad_out: (library.ones(1, 2),))
    report(lambda: layer(library.ones(1, 2)).sum().backward())


def wrong_backward_hooks(library, report):
    layer = library.nn.Linear(2, 2)
    x = library.ones(1, 2, requires_grad=True)
    handle = layer.register_full_backward_hook(lambda module, a, b: (a[0], a[0]))
    report(lambda: layer(x).sum().backward())
    handle.remove()
    handle = layer.register_full_backward_pre_hook(lambda module, a: (a[0], a[0]))
    report(lambda: layer(x).sum().backward())
    handle.remove()
    report(lambda: layer.register_backward_hook(print))
    plain = library.nn.ReLU()
    plain.register_backward_hook(noted(report, "plain"))
    report(lambda: plain.register_full_backward_hook(print))


def plain_backward_hooks(library, report):
    layer = library.nn.ReLU()
    layer.register_backward_hook(noted(report, "plain"))
    x = library.ones(2, requires_grad=True)
    layer(x * 2).sum().backward()
    report(x.grad)
    model = library.nn.Sequential(library.nn.ReLU(), library.nn.Sigmoid())
    model.register_backward_hook(noted(report, "plain"))
    model(x * 2).sum().backward()


def outputs_that_are_no_tensors(library, report):
    class Dictionary(library.nn.Module):
        def forward(self, x):
            return {"y": x * 2}

    layer = Dictionary()
    layer.register_full_backward_hook(noted(report, "never"))
    x = library.ones(2, requires_grad=True)
    layer(x)["y"].sum().backward()
    report(x.grad)


@pytest.mark.parametrize("scenario", scenarios(globals()))
def test_same_as_pytorch(scenario):
    compare(scenario, fakel, torch)
