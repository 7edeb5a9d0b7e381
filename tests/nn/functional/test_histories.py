"""The chain of backward nodes of classification losses is PyTorch's."""

import pytest

from tests.support.package import package


def chain(tensor):
    """The names of the backward nodes below a tensor, with what each hands gradients to."""

    def names(node):
        if node is None:
            return None
        name = node.name().replace("torch::autograd::", "")
        return name, [names(below) for below, _ in node.next_functions]

    return names(tensor.grad_fn)


def losses(torch, shape, reduction, weighted):
    F = torch.nn.functional
    sizes = (shape[0], *shape[2:]) if len(shape) > 1 else ()
    x = torch.ones(shape, requires_grad=True)
    target = torch.zeros(sizes, dtype=torch.int64)
    options = {"reduction": reduction}
    if weighted:
        options["weight"] = torch.ones(4)
    dim = min(len(shape) - 1, 1)
    yield F.nll_loss(F.log_softmax(x, dim), target, **options)
    yield F.nll_loss(x * x, target, **options)
    yield F.cross_entropy(x, target, **options)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("shape", [(4,), (3, 4), (2, 4, 3), (2, 4, 3, 5), (2, 4, 3, 2, 2)])
def test_classification(torch, shape, reduction, weighted):
    expected = list(map(chain, losses(torch, shape, reduction, weighted)))
    assert list(map(chain, losses(package, shape, reduction, weighted))) == expected


def test_inputs_without_gradients_are_not_in_the_chain(torch):
    def made(torch):
        F = torch.nn.functional
        x = torch.ones(3, 4, requires_grad=True)
        index = torch.zeros(3, dtype=torch.int64)
        yield F.embedding(index, x)
        yield x.gather(1, index[:, None])
        yield torch.where(x > 0, x, -x)
        yield x.index_select(0, index)

    assert list(map(chain, made(package))) == list(map(chain, made(torch)))


def test_hooks_of_nodes_see_the_inputs_of_the_chain(torch):
    def seen(torch):
        x = torch.ones(3, 4, requires_grad=True)
        loss = torch.nn.functional.nll_loss(x * 2, torch.zeros(3, dtype=torch.int64))
        counts = []
        loss.grad_fn.register_hook(lambda inputs, outputs: counts.append(len(inputs)))
        loss.grad_fn.register_hook(lambda inputs, outputs: (inputs[0] * 3,))
        loss.backward()
        return counts, x.grad.tolist()

    assert seen(package) == seen(torch)
