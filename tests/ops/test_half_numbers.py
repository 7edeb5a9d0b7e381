"""Numbers beside tensors of 16 bits keep their 32, as in PyTorch, also in gradients."""

import pytest

import fakel

EXPRESSIONS = {
    "x / c": lambda x, c: x / c,
    "true_divide": lambda x, c: x.true_divide(c),
    "x * c": lambda x, c: x * c,
    "several": lambda x, c: (x / c + x).relu() / 3 * c,
    "in place": lambda x, c: (x * 1).div_(c),
}


@pytest.mark.parametrize("number", [0.7, 3, -1.9, 1e-3])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", EXPRESSIONS)
def test_every_bit_is_pytorchs(name, dtype, number, torch):
    results = []
    for library in (fakel, torch):
        x = (library.arange(1, 256) - 100).to(getattr(library, dtype)).requires_grad_()
        y = EXPRESSIONS[name](x, number)
        y.float().sum().backward()
        results.append((str(y.dtype), y.float().tolist(), x.grad.float().tolist()))
    assert results[0] == results[1]
