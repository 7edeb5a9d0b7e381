"""``torch.autograd.functional`` and ``Variable``, as under PyTorch."""

from tests.support.both import run_both, scripts


@scripts(
    jacobian="""
        A = torch.autograd.functional
        x, y = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([[0.5], [2.0]])
        print(A.jacobian(lambda x: (x ** 2).cumsum(0), x))
        print(A.jacobian(lambda x, y: (x * y, y.sum()), (x, y)))
        print(A.jacobian(lambda x: torch.ones(2), x))
    """,
    hessian="""
        A = torch.autograd.functional
        x, y = torch.tensor([1.0, 2.0]), torch.tensor([3.0])
        print(A.hessian(lambda x: (x ** 3).sum() + x[0] * x[1], x))
        print(A.hessian(lambda x, y: (x ** 2 * y).sum(), (x, y)))
        A.hessian(lambda x: x * 2, x)
    """,
    products="""
        A = torch.autograd.functional
        x, v = torch.tensor([1.0, 2.0]), torch.tensor([1.0, -1.0])
        print(A.vjp(lambda x: x ** 2, x, v))
        print(A.jvp(lambda x: x ** 2, x, v))
        print(A.vhp(lambda x: (x ** 3).sum(), x, v))
        print(A.hvp(lambda x: (x ** 3).sum(), x, v))
        A.vjp(lambda x: x ** 2, x)
    """,
    create_graph="""
        A = torch.autograd.functional
        x = torch.tensor([1.0, 2.0], requires_grad=True)
        j = A.jacobian(lambda x: x ** 3, x, create_graph=True)
        j.sum().backward()
        print(x.grad, j.requires_grad)
    """,
    variable="""
        V = torch.autograd.Variable
        print(V(torch.ones(2)), V(torch.ones(2), requires_grad=True))
        print(V(torch.ones(1), volatile=True))
        print(isinstance(torch.ones(1), V), V(torch.ones(2, requires_grad=True) * 2).requires_grad)
        V([1, 2])
    """,
)
def test_functional(script):
    run_both(script)
