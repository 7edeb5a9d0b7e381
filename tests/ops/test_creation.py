"""New tensors whose values are arbitrary, and what their arguments do."""

import pytest

from tests.support.both import run_both, scripts
from tests.support.package import package


@pytest.mark.parametrize(
    ("make", "shape", "dtype"),
    [
        (lambda m: m.empty(2, 3), (2, 3), "float32"),
        (lambda m: m.empty((2,), dtype=m.int64), (2,), "int64"),
        (lambda m: m.empty(0), (0,), "float32"),
        (lambda m: m.empty(()), (), "float32"),
        (lambda m: m.empty_like(m.ones(2, dtype=m.bool)), (2,), "bool"),
        (lambda m: m.empty_like(m.ones(2), dtype=m.float64), (2,), "float64"),
        (lambda m: m.ones(2, dtype=m.int32).new_empty(3, 1), (3, 1), "int32"),
        (lambda m: m.Tensor(4, 2), (4, 2), "float32"),
    ],
)
def test_uninitialised(make, shape, dtype):
    tensor = make(package)
    assert tuple(tensor.shape) == shape
    assert str(tensor.dtype) == f"torch.{dtype}"


@scripts(
    strides="""
        x = torch.empty_strided((2, 3), (1, 2))
        print(x.shape, x.stride(), torch.ones(2, 3).t().contiguous().stride())
    """,
    requires_grad="""
        print(torch.zeros(2, requires_grad=True), torch.rand(2, requires_grad=True).is_leaf)
        print(torch.ones_like(torch.zeros(1), requires_grad=True))
        print(torch.ones(2, requires_grad=True).new_zeros(1).requires_grad)
    """,
    out="""
        x = torch.empty(0)
        print(torch.zeros(2, out=x) is x, x, torch.arange(3, out=torch.empty(3)))
    """,
    meshgrid_warns="""
        print(torch.meshgrid(torch.arange(2), torch.arange(3)))
    """,
    ranges="""
        print(torch.arange(0, 1, 0.25), torch.arange(3).dtype, torch.arange(3.0).dtype)
        print(torch.arange(1, 2.5), torch.linspace(0, 1, 3), torch.range(1, 3))
    """,
    shapes_of_tensors="""
        n = torch.tensor(3)
        print(torch.zeros(n), torch.ones(n, 2).shape, torch.arange(n), torch.zeros([n, 1]).shape)
    """,
    wrong_sizes="torch.zeros(2.5)",
    wrong_keyword="torch.zeros(2, dtyp=torch.int64)",
    wrong_dtype="torch.zeros(2, dtype='float')",
    wrong_device="torch.zeros(2, device='nonsense')",
    full_of_types="""
        print(torch.full((2,), 1).dtype, torch.full((2,), 1.0).dtype, torch.full((2,), True).dtype)
        print(torch.full((2,), 1j).dtype, torch.full_like(torch.ones(2), 3).dtype)
    """,
)
def test_creation(script):
    run_both(script)
