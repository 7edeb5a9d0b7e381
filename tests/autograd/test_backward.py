"""backward, grad and accumulation, against PyTorch."""

from tests.support.both import run_both, scripts


@scripts(
    simple="""
        x = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
        y = (x * x).sum()
        y.backward()
        print(x.grad, y.grad_fn is not None, x.is_leaf, y.is_leaf, y.requires_grad)
    """,
    accumulation="""
        x = torch.tensor([1.0, 2.0], requires_grad=True)
        for _ in range(3):
            (x * 2).sum().backward()
            print(x.grad)
        x.grad.zero_()
        (x ** 2).sum().backward()
        print(x.grad)
        x.grad = None
        x.prod().backward()
        print(x.grad)
    """,
    accumulation_keeps_the_same_tensor="""
        x = torch.tensor([1.0, 2.0], requires_grad=True)
        (x * 2).sum().backward()
        first = x.grad
        (x * 2).sum().backward()
        print(x.grad is first, first)
    """,
    the_gradient_argument="""
        x = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
        y = x * x
        y.backward(torch.tensor([1.0, 10.0, 100.0]))
        print(x.grad)
        (x * 3).backward(gradient=torch.ones(3))
        print(x.grad)
    """,
    a_gradient_of_the_wrong_shape="""
        x = torch.ones(3, requires_grad=True)
        (x * 2).backward(torch.ones(4))
    """,
    without_a_gradient_for_a_vector="""
        x = torch.ones(3, requires_grad=True)
        (x * 2).backward()
    """,
    nothing_requires_gradients="""
        torch.ones(3).sum().backward()
    """,
    twice="""
        x = torch.ones(3, requires_grad=True)
        y = (x * x).sum()
        y.backward()
        y.backward()
    """,
    twice_with_nothing_saved="""
        x = torch.ones(3, requires_grad=True)
        y = (x + 1).sum()
        y.backward()
        y.backward()
        print(x.grad)
    """,
    retain_graph="""
        x = torch.ones(3, requires_grad=True)
        y = (x * x).sum()
        y.backward(retain_graph=True)
        y.backward()
        print(x.grad)
    """,
    inputs="""
        a = torch.tensor(2.0, requires_grad=True)
        b = torch.tensor(3.0, requires_grad=True)
        (a * b).backward(inputs=[a])
        print(a.grad, b.grad)
        (a * b).backward(inputs=b)
        print(a.grad, b.grad)
    """,
    no_inputs="""
        a = torch.tensor(2.0, requires_grad=True)
        (a * a).backward(inputs=[])
    """,
    create_graph="""
        x = torch.tensor([1.0, 2.0], requires_grad=True)
        (x ** 3).sum().backward(create_graph=True)
        print(x.grad.detach())
        print(x.grad.requires_grad, x.grad.grad_fn is not None)
    """,
    several_roots="""
        x = torch.tensor([1.0, 2.0], requires_grad=True)
        torch.autograd.backward([x.sum(), (x * x).sum()])
        print(x.grad)
        torch.autograd.backward([x * 2, x * x], [torch.ones(2), torch.tensor([1.0, 0.0])])
        print(x.grad)
    """,
    shared_subexpressions="""
        x = torch.tensor(2.0, requires_grad=True)
        y = x * x
        z = y * y + y
        z.backward()
        print(x.grad)
    """,
    a_long_chain="""
        x = torch.tensor(1.0, requires_grad=True)
        y = x
        for _ in range(3000):
            y = y + 0.001 * x
        y.backward()
        print(round(x.grad.item(), 3))
    """,
    broadcasting="""
        a = torch.ones(3, 1, requires_grad=True)
        b = torch.ones(4, requires_grad=True)
        c = torch.tensor(2.0, requires_grad=True)
        (a * b * c).sum().backward()
        print(a.grad, b.grad, c.grad)
    """,
    mixed_dtypes="""
        a = torch.ones(3, requires_grad=True)
        b = torch.ones(3, dtype=torch.float64, requires_grad=True)
        (a * b).sum().backward()
        print(a.grad.dtype, b.grad.dtype)
    """,
    a_leaf_that_is_not_used="""
        x = torch.ones(2, requires_grad=True)
        y = torch.ones(2, requires_grad=True)
        x.sum().backward()
        print(y.grad)
    """,
    the_gradient_of_an_inner_tensor="""
        x = torch.ones(2, requires_grad=True)
        y = x * 2
        y.sum().backward()
        print(y.grad)
    """,
    retain_grad="""
        x = torch.ones(2, requires_grad=True)
        y = x * 2
        print(y.retains_grad)
        y.retain_grad()
        (y * y).sum().backward()
        print(y.grad, y.retains_grad, x.grad)
    """,
    retain_grad_without_gradients="""
        torch.ones(2).retain_grad()
    """,
    integers_cannot_require_gradients="""
        torch.tensor([1, 2], requires_grad=True)
    """,
    requires_grad_of_an_integer_tensor="""
        x = torch.tensor([1, 2])
        x.requires_grad_()
    """,
    requires_grad_of_an_inner_tensor="""
        x = torch.ones(2, requires_grad=True)
        y = x * 2
        y.requires_grad_(False)
    """,
    an_assigned_gradient="""
        x = torch.ones(2, requires_grad=True)
        x.grad = torch.tensor([5.0, 6.0])
        (x * 2).sum().backward()
        print(x.grad)
        try:
            x.grad = torch.ones(3)
        except RuntimeError as error:
            print(error)
        try:
            x.grad = torch.ones(2, dtype=torch.float64)
        except RuntimeError as error:
            print(error)
        try:
            x.grad = 1
        except TypeError as error:
            print(error)
    """,
    zero_dimensional_and_empty="""
        x = torch.zeros(0, 3, requires_grad=True)
        x.sum().backward()
        print(x.grad.shape)
        y = torch.tensor(3.0, requires_grad=True)
        (y ** 2).backward()
        print(y.grad)
    """,
    names_of_grad_fn="""
        x = torch.ones(2, 2, requires_grad=True)
        for y in [x + 1, x * 2, x @ x, x.sum(), x.mean(), x.view(4), x.t(), x.exp(), x.relu(),
                  x - x, x / 2, x ** 2, x.clone(), x[0], x.reshape(4), torch.cat([x, x]), -x,
                  x.sigmoid()]:
            print(type(y.grad_fn).__name__, y.grad_fn.name())
    """,
    printing_with_grad_fn="""
        x = torch.ones(2, requires_grad=True)
        print(x, x * 2, (x * 2).sum(), x.detach())
    """,
)
def test_backward(script):
    run_both(script)


@scripts(
    plain="""
        x = torch.tensor([1.0, 2.0], requires_grad=True)
        print(torch.autograd.grad((x ** 2).sum(), x), x.grad)
    """,
    several_inputs="""
        a = torch.tensor(2.0, requires_grad=True)
        b = torch.tensor(3.0, requires_grad=True)
        print(torch.autograd.grad(a * b + a, [a, b]))
    """,
    with_respect_to_an_inner_tensor="""
        x = torch.tensor([1.0, 2.0], requires_grad=True)
        y = x * 2
        z = (y ** 2).sum()
        print(torch.autograd.grad(z, y, retain_graph=True), torch.autograd.grad(z, x))
    """,
    grad_outputs="""
        x = torch.tensor([1.0, 2.0], requires_grad=True)
        print(torch.autograd.grad(x ** 2, x, grad_outputs=torch.tensor([1.0, 3.0])))
        y = x ** 2
        print(torch.autograd.grad([y, x.sum()], [x], grad_outputs=[torch.ones(2), None]))
    """,
    unused="""
        a = torch.tensor(2.0, requires_grad=True)
        b = torch.tensor(3.0, requires_grad=True)
        print(torch.autograd.grad(a * a, [a, b], allow_unused=True))
        torch.autograd.grad(a * a, [a, b])
    """,
    materialize="""
        a = torch.tensor(2.0, requires_grad=True)
        b = torch.ones(2, requires_grad=True)
        print(torch.autograd.grad(a * a, [a, b], materialize_grads=True))
    """,
    an_input_without_gradients="""
        a = torch.tensor(2.0, requires_grad=True)
        torch.autograd.grad(a * a, torch.tensor(1.0))
    """,
    second_and_third_order="""
        x = torch.tensor(2.0, requires_grad=True)
        y = x ** 4
        (g,) = torch.autograd.grad(y, x, create_graph=True)
        (h,) = torch.autograd.grad(g, x, create_graph=True)
        (k,) = torch.autograd.grad(h, x)
        print(y.item(), g.item(), h.item(), k.item(), k.requires_grad)
    """,
    gradient_penalty="""
        torch.manual_seed(0)
        layer = nn.Linear(3, 1)
        x = torch.randn(4, 3, requires_grad=True)
        (g,) = torch.autograd.grad(layer(x).tanh().sum(), x, create_graph=True)
        ((g.norm(dim=1) - 1) ** 2).mean().backward()
        print(layer.weight.grad, layer.bias.grad)
    """,
    is_grads_batched_off="""
        x = torch.ones(2, requires_grad=True)
        print(torch.autograd.grad(x.sum(), x, is_grads_batched=False))
    """,
)
def test_grad(script):
    run_both(script)


@scripts(
    right="""
        x = torch.randn(3, dtype=torch.float64, requires_grad=True)
        print(torch.autograd.gradcheck(lambda x: (x * x).sin(), (x,)))
        print(torch.autograd.gradgradcheck(lambda x: (x * x).sin(), (x,)))
    """,
    wrong="""
        class Wrong(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                return x * x
            @staticmethod
            def backward(ctx, grad):
                return grad
        x = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)
        print(torch.autograd.gradcheck(Wrong.apply, (x,), raise_exception=False))
        torch.autograd.gradcheck(Wrong.apply, (x,))
    """,
    no_inputs_that_require_gradients="""
        torch.autograd.gradcheck(torch.sin, (torch.ones(2, dtype=torch.float64),))
    """,
)
def test_gradcheck(script):
    run_both(script)
