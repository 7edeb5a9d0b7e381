"""autograd.Function, hooks, saved tensors and anomaly mode, against PyTorch."""

import textwrap

import pytest

from tests.support.both import run_both, scripts
from tests.support.package import package

CUBE = """
class Cube(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x ** 3
    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return grad * 3 * x ** 2
"""


def cube(body: str) -> str:
    return CUBE + textwrap.dedent(body)


@scripts(
    plain=cube("""
        x = torch.tensor([1.0, 2.0], requires_grad=True)
        y = Cube.apply(x)
        print(y.requires_grad, type(y.grad_fn).__name__)
        y.sum().backward()
        print(x.grad)
    """),
    twice_differentiable=cube("""
        x = torch.tensor(2.0, requires_grad=True)
        (g,) = torch.autograd.grad(Cube.apply(x), x, create_graph=True)
        (h,) = torch.autograd.grad(g, x)
        print(g, h)
    """),
    without_gradients=cube("""
        print(Cube.apply(torch.tensor(2.0)).requires_grad)
        with torch.no_grad():
            print(Cube.apply(torch.tensor(2.0, requires_grad=True)).requires_grad)
    """),
    saved_tensors_after_they_are_freed=cube("""
        x = torch.tensor(2.0, requires_grad=True)
        y = Cube.apply(x)
        y.backward()
        y.backward()
    """),
    saved_tensors_overwritten=cube("""
        x = torch.tensor([2.0, 3.0], requires_grad=True)
        y = x * 1
        z = Cube.apply(y)
        y.add_(1)
        z.sum().backward()
    """),
    called_as_an_object=cube("Cube()(torch.ones(2))"),
    several_inputs_and_outputs="""
        class Both(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x, y, scale):
                ctx.scale = scale
                ctx.save_for_backward(x, y)
                return x * y * scale, x + y
            @staticmethod
            def backward(ctx, first, second):
                x, y = ctx.saved_tensors
                print(ctx.needs_input_grad, first, second)
                return first * y * ctx.scale + second, None, None
        x = torch.ones(2, requires_grad=True)
        a, b = Both.apply(x, torch.tensor([2.0, 3.0]), 10)
        (a.sum() + b.sum()).backward()
        print(x.grad)
    """,
    an_unused_output_gets_zeros="""
        class Two(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                return x * 2, x * 3
            @staticmethod
            def backward(ctx, a, b):
                print(a, b)
                return a * 2 + b * 3
        x = torch.ones(2, requires_grad=True)
        Two.apply(x)[0].sum().backward()
        print(x.grad)
    """,
    unused_outputs_may_be_none="""
        class Two(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                ctx.set_materialize_grads(False)
                return x * 2, x * 3
            @staticmethod
            def backward(ctx, a, b):
                print(a, b)
                return a * 2
        x = torch.ones(2, requires_grad=True)
        Two.apply(x)[0].sum().backward()
        print(x.grad)
    """,
    not_differentiable="""
        class Sort(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                values, index = x.sort()
                ctx.mark_non_differentiable(index)
                ctx.save_for_backward(index)
                return values, index
            @staticmethod
            def backward(ctx, grad, _):
                (index,) = ctx.saved_tensors
                return torch.zeros(3).index_add(0, index, grad)
        x = torch.tensor([3.0, 1.0, 2.0], requires_grad=True)
        values, index = Sort.apply(x)
        print(values.requires_grad, index.requires_grad)
        (values * torch.tensor([1.0, 10.0, 100.0])).sum().backward()
        print(x.grad)
    """,
    too_many_gradients="""
        class Bad(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                return x * 2
            @staticmethod
            def backward(ctx, grad):
                return grad, grad
        Bad.apply(torch.ones(2, requires_grad=True)).sum().backward()
    """,
    too_few_gradients="""
        class Bad(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x, y):
                return x * y
            @staticmethod
            def backward(ctx, grad):
                return grad
        Bad.apply(torch.ones(2, requires_grad=True), torch.ones(2)).sum().backward()
    """,
    a_gradient_of_the_wrong_shape="""
        class Bad(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                return x.sum()
            @staticmethod
            def backward(ctx, grad):
                return torch.ones(5)
        Bad.apply(torch.ones(2, requires_grad=True)).backward()
    """,
    no_backward="""
        class Bad(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                return x * 2
        Bad.apply(torch.ones(2, requires_grad=True)).sum().backward()
    """,
    setup_context="""
        class Square(torch.autograd.Function):
            @staticmethod
            def forward(x):
                return x * x
            @staticmethod
            def setup_context(ctx, inputs, output):
                ctx.save_for_backward(*inputs)
            @staticmethod
            def backward(ctx, grad):
                (x,) = ctx.saved_tensors
                return 2 * x * grad
        x = torch.tensor(3.0, requires_grad=True)
        Square.apply(x).backward()
        print(x.grad)
    """,
    straight_through="""
        class Round(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                return x.round()
            @staticmethod
            def backward(ctx, grad):
                return grad.clone()
        x = torch.tensor([0.4, 0.6], requires_grad=True)
        (Round.apply(x) * torch.tensor([2.0, 3.0])).sum().backward()
        print(x.grad)
    """,
    dirty="""
        class Double(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                x.mul_(2)
                ctx.mark_dirty(x)
                return x
            @staticmethod
            def backward(ctx, grad):
                return grad * 2
        x = torch.ones(2, requires_grad=True)
        y = x * 1
        z = Double.apply(y)
        print(z is y, y)
        z.sum().backward()
        print(x.grad)
    """,
    gradients_are_off_inside_forward="""
        class Look(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                print(torch.is_grad_enabled(), (x * 2).requires_grad)
                return x * 2
            @staticmethod
            def backward(ctx, grad):
                print(torch.is_grad_enabled())
                return grad * 2
        Look.apply(torch.ones(2, requires_grad=True)).sum().backward()
    """,
)
def test_function(script):
    run_both(script)


@scripts(
    on_a_leaf="""
        x = torch.ones(2, requires_grad=True)
        handle = x.register_hook(lambda grad: print("hook", grad))
        (x * 2).sum().backward()
        handle.remove()
        (x * 2).sum().backward()
        print(x.grad)
    """,
    that_changes_the_gradient="""
        x = torch.ones(2, requires_grad=True)
        x.register_hook(lambda grad: grad * 10)
        x.register_hook(lambda grad: grad + 1)
        (x * 2).sum().backward()
        print(x.grad)
    """,
    on_an_inner_tensor="""
        x = torch.ones(2, requires_grad=True)
        y = x * 3
        y.register_hook(lambda grad: grad * 2)
        (y * y).sum().backward()
        print(x.grad)
    """,
    runs_once_with_the_sum="""
        x = torch.ones(2, requires_grad=True)
        y = x * 3
        y.register_hook(lambda grad: print(grad))
        (y * 2 + y * 4).sum().backward()
    """,
    on_a_tensor_without_gradients="""
        torch.ones(2).register_hook(print)
    """,
    retain_grad_sees_the_changed_gradient="""
        x = torch.ones(2, requires_grad=True)
        y = x * 3
        y.retain_grad()
        y.register_hook(lambda grad: grad * 2)
        y.sum().backward()
        print(y.grad, x.grad)
    """,
    after_accumulation="""
        x = torch.ones(2, requires_grad=True)
        x.register_post_accumulate_grad_hook(lambda p: print("after", p.grad))
        (x * 2).sum().backward()
        (x * 2).sum().backward()
    """,
    on_a_node="""
        x = torch.ones(2, requires_grad=True)
        y = x * 3
        y.grad_fn.register_hook(lambda inputs, outputs: print(len(inputs), outputs))
        y.sum().backward()
    """,
    next_functions="""
        x = torch.ones(2, requires_grad=True)
        y = (x * 3).sum()
        node = y.grad_fn
        while node is not None:
            print(node.name(), len(node.next_functions))
            node = node.next_functions[0][0] if node.next_functions else None
        print(y.grad_fn.next_functions[0][0].next_functions[0][0].variable is x)
    """,
    saved_tensors_hooks="""
        x = torch.tensor([1.0, 2.0], requires_grad=True)
        def pack(t):
            print("pack", t.mul(100).round().tolist())
            return t.detach().numpy()
        def unpack(a):
            print("unpack", (a * 100).round().tolist())
            return torch.from_numpy(a)
        with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
            y = x.exp()
        y.sum().backward()
    """,
)
def test_hooks(script):
    run_both(script)


@scripts(
    nan="""
        x = torch.tensor([0.0], requires_grad=True)
        with torch.autograd.detect_anomaly():
            (torch.sqrt(x) * 0).sum().backward()
    """,
    off="""
        x = torch.tensor([0.0], requires_grad=True)
        (torch.sqrt(x) * 0).sum().backward()
        print(x.grad)
    """,
    set_detect_anomaly="""
        print(torch.is_anomaly_enabled())
        with torch.autograd.set_detect_anomaly(True):
            print(torch.is_anomaly_enabled())
        print(torch.is_anomaly_enabled())
    """,
)
def test_anomaly(script):
    run_both(script)


def test_anomaly_mode_names_the_users_line():
    x = package.tensor([0.0], requires_grad=True)
    with pytest.warns(UserWarning) as caught, pytest.raises(RuntimeError):
        with package.autograd.detect_anomaly():
            y = package.sqrt(x)  # this line
            (y * 0).sum().backward()
    assert any("y = package.sqrt(x)  # this line" in str(warning.message) for warning in caught)


@scripts(
    of_a_function="""
        class Scale(torch.autograd.Function):
            @staticmethod
            def forward(ctx, w, x, b):
                ctx.save_for_backward(w, x)
                ctx.note = "mine"
                return w * x + b

            @staticmethod
            def backward(ctx, grad):
                w, x = ctx.saved_tensors
                return grad * x, grad * w, grad * 1

        w = torch.full((1,), 2.0, requires_grad=True)
        b = torch.full((1,), 3.0, requires_grad=True)
        z = Scale.apply(w, torch.ones(1), b)
        node = z.grad_fn
        print(node.apply(torch.ones(1)), node.apply(torch.ones(1)), node.apply(3))
        print(node.saved_tensors, node.needs_input_grad, node.note, hasattr(node, "other"))
        for call in (lambda: node(torch.ones(1)), lambda: node.apply(1, 2), lambda: node.other):
            try:
                call()
            except Exception as error:
                print(type(error).__name__, error)
        z.backward()
        print(w.grad, b.grad)
        node.apply(torch.ones(1))
    """,
    of_operators="""
        a = torch.arange(3.0, requires_grad=True)
        w = torch.ones(3, requires_grad=True)
        ones = torch.ones(3)
        print((a * 2).grad_fn(ones), (a * w).grad_fn(ones), a.exp().grad_fn(ones))
        print(a.sum().grad_fn(torch.tensor(1.0)), (a * 2).grad_fn(None), a.exp().grad_fn(None))
        print([g.tolist() for g in (a * w).grad_fn(ones)])
        print(a.exp().grad_fn(torch.ones(3, requires_grad=True)).requires_grad)
        print(a.sort().values.grad_fn(ones).tolist())
        hooked = a * 3
        hooked.register_hook(lambda grad: grad * 10)
        hooked.grad_fn.register_hook(lambda inputs, outputs: print("never"))
        print(hooked.grad_fn(ones)[0])
        leaf = a.sum().grad_fn.next_functions[0][0]
        print(leaf(ones), leaf(ones), a.grad)
        node = a.exp().grad_fn
        for call in (lambda: node(), lambda: node(ones, ones), lambda: node(3)):
            try:
                call()
            except Exception as error:
                print(type(error).__name__, error)
        y = a.exp()
        y.sum().backward()
        y.grad_fn(ones)
    """,
)
def test_backward_nodes_are_called(script):
    """A node gives the gradients of its inputs, without hooks and without freeing anything."""
    run_both(script)
