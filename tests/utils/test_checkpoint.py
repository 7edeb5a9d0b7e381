"""Activation checkpointing gives PyTorch's numbers, warnings and errors, and computes twice."""

import pytest

import fakel
from fakel.utils.checkpoint import checkpoint
from tests.support.both import run_both, scripts

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@scripts(
    gradients="""
        import importlib
        C = importlib.import_module(torch.__name__ + ".utils.checkpoint")
        for reentrant in (True, False):
            torch.manual_seed(0)
            net = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.ReLU(), nn.Linear(8, 2))
            x = torch.randn(3, 4, requires_grad=True)
            y = C.checkpoint(net, x, use_reentrant=reentrant)
            print(torch.rand(1))
            y.pow(2).sum().backward()
            print(torch.rand(1), x.grad, [p.grad.norm() for p in net.parameters()])
            z = C.checkpoint_sequential(net, 2, x, use_reentrant=reentrant)
            z.sum().backward()
            print(x.grad)
            z = C.checkpoint(net, x.detach(), use_reentrant=reentrant)
            print(z.requires_grad)
    """,
    variants="""
        import importlib
        C = importlib.import_module(torch.__name__ + ".utils.checkpoint")
        def product(x, y=1.0, z=None):
            print("called")
            a = (x * y).sin()
            b = a.exp()
            print("all of it")
            return a * b, z
        x = torch.ones(2, requires_grad=True)
        for stop in (True, False):
            out, z = C.checkpoint(product, x, y=2.0, z="z", use_reentrant=False, early_stop=stop)
            out.sum().backward(retain_graph=True)
            out.sum().backward()
            print(x.grad, z)
        with C.set_checkpoint_early_stop(False):
            C.checkpoint(product, x, use_reentrant=False)[0].sum().backward()
        print(torch.autograd.grad(C.checkpoint(product, x, use_reentrant=False)[0].sum(), x))
        with torch.autocast("cpu"):
            out = C.checkpoint(lambda x: x @ x.t(), torch.ones(2, 2, requires_grad=True),
                               use_reentrant=False)
        print(out.dtype)
        out.sum().backward()
    """,
    mistakes="""
        import importlib
        C = importlib.import_module(torch.__name__ + ".utils.checkpoint")
        x = torch.ones(2, requires_grad=True)
        for call in (
            lambda: C.checkpoint(lambda x: x, x, use_reentrant=True, other=3),
            lambda: C.checkpoint(lambda x: x, x, use_reentrant=True, debug=True),
            lambda: C.checkpoint(lambda x: x * 2, x).detach(),
        ):
            try:
                print(call())
            except Exception as error:
                print(type(error).__name__, error)
        calls = []
        def changing(x):
            calls.append(x)
            return (x.exp() if len(calls) == 1 else x[:1].exp()).sum()
        try:
            C.checkpoint(changing, x, use_reentrant=False).backward()
        except RuntimeError as error:
            print(type(error).__name__, str(error).split(chr(10))[:4])
    """,
)
def test_same_as_pytorch(script):
    run_both(script)


def test_nothing_is_kept_for_backward():
    kept = []
    with fakel.autograd.graph.saved_tensors_hooks(
        lambda tensor: kept.append(tensor) or tensor, lambda tensor: tensor
    ):
        x = fakel.ones(3, requires_grad=True)
        checkpoint(lambda x: x.exp().sin().cos(), x, use_reentrant=False)
        assert kept == []
        x.exp().sin().cos()
        assert len(kept) == 3
