"""The layout that a storage notes is that of PyTorch's memory: strides of random expressions."""

import random

import pytest

import fakel
from fakel.tensor.memory import memory_strides
from fakel.tensor.size import contiguous_strides

VIEWS = (
    lambda x, r: x.permute(*r.sample(range(x.ndim), x.ndim)),
    lambda x, r: x.transpose(0, -1),
    lambda x, r: x[1:] if x.shape[0] > 2 else x,
    lambda x, r: x[..., ::2],
    lambda x, r: x.unsqueeze(r.randrange(x.ndim)),
    lambda x, r: x.select(r.randrange(x.ndim), 0) if x.ndim > 2 else x,
    lambda x, r: x.detach(),
    lambda x, r: x.squeeze(),
)
POINTWISE = (
    lambda x, r: x * 2,
    lambda x, r: 1 - x,
    lambda x, r: x + x,
    lambda x, r: x.relu(),
    lambda x, r: x.exp().double(),
    lambda x, r: x.clone(),
    lambda x, r: x.contiguous(),
    lambda x, r: x.flatten(),
    lambda x, r: x.where(x > 0, x.new_zeros(())),
    lambda x, r: x.clamp(0, 1),
    lambda x, r: x + x.new_ones(x.shape[-1:]),
    lambda x, r: x + x.new_ones(x.shape),
    lambda x, r: x.new_ones(x.shape) + x,
    lambda x, r: x.new_ones((*x.shape[:-1], 1)) * x,
    lambda x, r: x.softmax(-1),
    lambda x, r: x.flip(0),
)


def strides(tensor):
    """The strides of dimensions of more than one element."""
    if isinstance(tensor, fakel.Tensor):
        found = memory_strides(tensor) or contiguous_strides(tensor.shape)
    else:
        found = tensor.stride()
    return [stride for size, stride in zip(tensor.shape, found, strict=True) if size > 1]


@pytest.mark.parametrize("seed", range(150))
def test_strides_are_those_of_pytorch(seed, torch):
    histories = []
    for library in (fakel, torch):
        choose = random.Random(seed)
        shape = [choose.randint(1, 5) for _ in range(choose.randint(2, 4))]
        x, history = library.ones(shape), []
        for _ in range(8):
            function = choose.choice(choose.choice((VIEWS, POINTWISE)))
            x = function(x, choose)
            if x.ndim < 2:
                x = x.reshape(-1, 1)
            history.append((tuple(x.shape), strides(x)))
        histories.append(history)
    assert histories[0] == histories[1]
