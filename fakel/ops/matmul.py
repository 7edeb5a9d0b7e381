"""Matrix products: ``matmul``, ``mm``, ``bmm``, ``addmm``, ``dot``, ``outer`` and their like."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from fakel.autograd.tape import retitled
from fakel.ops.checks import BOOL, refuse
from fakel.ops.declare import broadcast_shapes, function, gradient, operator, primitive, wrap_dim
from fakel.ops.numerics.product import product
from fakel.tensor import Tensor, dtypes


@primitive("mm")
def _mm(input, mat2):
    return product(input, mat2)


gradient(
    _mm,
    input=lambda grad, mat2: _mm_of(grad, mat2.t().conj()),
    mat2=lambda grad, input: _mm_of(input.t().conj(), grad),
)


@primitive("bmm")
def _bmm(input, mat2):
    return product(input, mat2)


gradient(
    _bmm,
    input=lambda grad, mat2: bmm(grad, mat2.transpose(1, 2).conj()),
    mat2=lambda grad, input: bmm(input.transpose(1, 2).conj(), grad),
)


@primitive("dot")
def _dot(input, tensor):
    return np.dot(input, tensor)


gradient(
    _dot,
    input=lambda grad, tensor: grad * tensor.conj(),
    tensor=lambda grad, input: grad * input.conj(),
)


@primitive("mv")
def _mv(input, vec):
    return product(input, vec)


gradient(
    _mv,
    input=lambda grad, vec: outer(grad, vec.conj()),
    vec=lambda grad, input: mv(input.t().conj(), grad),
)


def same_dtype(input: Tensor, mat2: Tensor) -> None:
    """Raises RuntimeError for the factors of a matrix product whose dtypes differ."""
    first, second = input.dtype, mat2.dtype
    if first is not second:
        raise RuntimeError(
            f"expected m1 and m2 to have the same dtype, but got: {first.c_name} != {second.c_name}"
        )


def same_dtype_in_sum(input: Tensor, mat1: Tensor, mat2: Tensor) -> None:
    """Raises RuntimeError for the operands of ``addmm`` whose dtypes differ."""
    for name, tensor in (("mat1", mat1), ("self", input)):
        if tensor.dtype is not mat2.dtype:
            raise RuntimeError(
                f"{name} and mat2 must have the same dtype, but got {tensor.dtype.letter} and "
                f"{mat2.dtype.letter}"
            )


def _require(name: str, *arguments: tuple[str, Any]) -> None:
    for position, (argument, value) in enumerate(arguments):
        if not isinstance(value, Tensor):
            raise TypeError(
                f"{name}(): argument '{argument}' (position {position + 1}) must be Tensor, not "
                f"{type(value).__name__}"
            )


def _mm_of(input: Tensor, mat2: Tensor) -> Tensor:
    return _mm(input, mat2, shape=(input._shape[0], mat2._shape[1]))


@operator()
def mm(input: Tensor, mat2: Tensor) -> Tensor:
    """The product of two matrices, (n, m) @ (m, p) -> (n, p)."""
    _require("mm", ("input", input), ("mat2", mat2))
    if input.ndim != 2:
        raise RuntimeError("self must be a matrix")
    if mat2.ndim != 2:
        raise RuntimeError("mat2 must be a matrix")
    if input._shape[1] != mat2._shape[0]:
        raise RuntimeError(
            f"mat1 and mat2 shapes cannot be multiplied ({input._shape[0]}x{input._shape[1]} and "
            f"{mat2._shape[0]}x{mat2._shape[1]})"
        )
    same_dtype(input, mat2)
    _no_bool("addmm_impl_cpu_", input)
    return _mm_of(input, mat2)


def _no_bool(kernel: str, tensor: Tensor) -> None:
    if tensor.dtype is dtypes.bool_:
        refuse(kernel, tensor.dtype, BOOL)


@operator()
def bmm(input: Tensor, mat2: Tensor) -> Tensor:
    """Products of matrices in batches, (b, n, m) @ (b, m, p) -> (b, n, p)."""
    _require("bmm", ("input", input), ("mat2", mat2))
    if input.ndim != 3:
        raise RuntimeError("batch1 must be a 3D tensor")
    if mat2.ndim != 3:
        raise RuntimeError("batch2 must be a 3D tensor")
    b, n, m = input._shape
    if mat2._shape[0] != b or mat2._shape[1] != m:
        raise RuntimeError(
            f"Expected size for first two dimensions of batch2 tensor to be: [{b}, {m}] but got: "
            f"[{mat2._shape[0]}, {mat2._shape[1]}]."
        )
    if input.dtype is not mat2.dtype:
        raise RuntimeError(
            f"expected scalar type {input.dtype.letter} but found {mat2.dtype.letter}"
        )
    _no_bool("bmm", input)
    return _bmm(input, mat2, shape=(b, n, mat2._shape[2]))


@operator()
def mv(input: Tensor, vec: Tensor) -> Tensor:
    """A matrix times a vector, (n, m) @ (m) -> (n)."""
    _require("mv", ("input", input), ("vec", vec))
    if input.ndim != 2 or vec.ndim != 1:
        raise RuntimeError(f"vector + matrix @ vector expected, got 1, {input.ndim}, {vec.ndim}")
    if input._shape[1] != vec._shape[0]:
        raise RuntimeError(
            f"size mismatch, got input ({input._shape[0]}), mat "
            f"({input._shape[0]}x{input._shape[1]}), vec "
            f"({vec._shape[0]})"
        )
    same_dtype(input, vec)
    _no_bool("addmv_impl_cpu", input)
    return _mv(input, vec, shape=(input._shape[0],))


@operator()
def dot(input: Tensor, tensor: Tensor) -> Tensor:
    """The sum of products of two vectors."""
    _require("dot", ("input", input), ("tensor", tensor))
    if input.ndim != 1 or tensor.ndim != 1:
        raise RuntimeError(f"1D tensors expected, but got {input.ndim}D and {tensor.ndim}D tensors")
    if input.dtype is not tensor.dtype:
        raise RuntimeError(
            f"dot : expected both vectors to have same dtype, but found {input.dtype.letter} and "
            f"{tensor.dtype.letter}"
        )
    if input._shape != tensor._shape:
        raise RuntimeError(
            f"inconsistent tensor size, expected tensor [{input._shape[0]}] and src "
            f"[{tensor._shape[0]}] to "
            f"have the same number of elements, but got {input._shape[0]} and {tensor._shape[0]} "
            "elements "
            "respectively"
        )
    _no_bool("dot", input)
    return _dot(input, tensor, shape=())


@operator()
def vdot(input: Tensor, other: Tensor) -> Tensor:
    """``dot`` with the first vector conjugated."""
    return dot(input.conj(), other)


@operator(aliases=("ger",))
def outer(input: Tensor, vec2: Tensor) -> Tensor:
    """All products of elements of two vectors, (n) and (m) -> (n, m)."""
    for position, vector in enumerate((input, vec2)):
        if vector.ndim != 1:
            name = ("self", "vec2")[position]
            raise RuntimeError(f"outer: Expected 1-D argument {name}, but got {vector.ndim}-D")
    return input.unsqueeze(1) * vec2


@operator()
def matmul(input: Tensor, other: Tensor) -> Tensor:
    """The matrix product; vectors count as a row or a column, dimensions before the last two are a
    batch and broadcast.
    """
    _require("matmul", ("input", input), ("other", other))
    a, b = input.ndim, other.ndim
    if not a or not b:
        raise RuntimeError(
            f"both arguments to matmul need to be at least 1D, but they are {a}D and {b}D"
        )
    if a == 1 and b == 1:
        return dot(input, other)
    if a == 2 and b == 2:
        return mm(input, other)
    if a == 2 and b == 1:
        return mv(input, other)
    if a == 1 and b == 2:
        return retitled(mm(input.unsqueeze(0), other).squeeze(0), "SqueezeBackward4")
    if b <= 2:
        # the batch is rows of one matrix product
        rows = input.reshape(input._shape[:-1].numel(), input._shape[-1])
        if b == 1:
            return mv(rows, other).view(input._shape[:-1])
        product = mm(rows, other).view((*input._shape[:-1], other._shape[-1]))
        return retitled(product, "UnsafeViewBackward0")
    left = input.unsqueeze(0) if a == 1 else input
    right = other.unsqueeze(-1) if b == 1 else other
    batch = broadcast_shapes(left._shape[:-2], right._shape[:-2])
    n, m = left._shape[-2:]
    p = right._shape[-1]
    if m != right._shape[-2]:
        raise RuntimeError(
            "Expected size for first two dimensions of batch2 tensor to be: "
            f"[{math.prod(batch)}, {m}] "
            f"but got: [{math.prod(batch)}, {right._shape[-2]}]."
        )
    count = math.prod(batch)
    product = bmm(
        left.expand((*batch, n, m)).reshape(count, n, m),
        right.expand((*batch, m, p)).reshape(count, m, p),
    ).view((*batch, n, p))
    retitled(product, "UnsafeViewBackward0")
    if a == 1:
        product = product.squeeze(-2)
    return product.squeeze(-1) if b == 1 else product


def _product(self: Tensor, other: Any) -> Any:
    return matmul(self, other) if isinstance(other, Tensor) else NotImplemented


def _reversed(self: Tensor, other: Any) -> Any:
    return matmul(other, self) if isinstance(other, Tensor) else NotImplemented


Tensor.__matmul__ = _product  # type: ignore[attr-defined]
Tensor.__rmatmul__ = _reversed  # type: ignore[attr-defined]


def _scaled(product: Tensor, input: Tensor, beta: Any, alpha: Any) -> Tensor:
    """``beta * input + alpha * product``; with beta 0 nothing of ``input`` counts, not even NaN."""
    if not (product.is_floating_point() or product.is_complex()):
        whole = bool if product.dtype is input.dtype is dtypes.bool_ else int
        alpha, beta = whole(alpha), whole(beta)
    if alpha != 1:
        product = product * alpha
    if beta == 0:
        return product.expand(broadcast_shapes(product._shape, input._shape)).clone()
    return (input if beta == 1 else input * beta) + product


@primitive("addmm")
def _addmm(input, mat1, mat2):
    return product(mat1, mat2) + input


gradient(
    _addmm,
    input=lambda grad: grad,
    mat1=lambda grad, mat2: _mm_of(grad, mat2.t().conj()),
    mat2=lambda grad, mat1: _mm_of(mat1.t().conj(), grad),
)


@operator(inplace=True)
def addmm(input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """``beta * input + alpha * (mat1 @ mat2)``."""
    _require("addmm", ("input", input), ("mat1", mat1), ("mat2", mat2))
    if mat1.ndim != 2 or mat2.ndim != 2:
        raise RuntimeError(
            f"mat1 must be a matrix, got {mat1.ndim}-D tensor"
            if mat1.ndim != 2
            else f"mat2 must be a matrix, got {mat2.ndim}-D tensor"
        )
    (n, m), (k, p) = mat1._shape, mat2._shape
    if m != k:
        raise RuntimeError(f"mat1 and mat2 shapes cannot be multiplied ({n}x{m} and {k}x{p})")
    same_dtype_in_sum(input, mat1, mat2)
    if beta == 1 and alpha == 1 and input.dtype is mat1.dtype and mat1.dtype is not dtypes.bool_:
        input.expand((n, p)) if input._shape != (n, p) else None
        return _addmm(input, mat1, mat2, shape=(n, p))
    return _scaled(mm(mat1, mat2), input, beta, alpha)


@operator(inplace=True, backward_name="AddmvBackward0")
def addmv(input: Tensor, mat: Tensor, vec: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """``beta * input + alpha * (mat @ vec)``."""
    if input.ndim > 1:
        raise RuntimeError(
            f"vector + matrix @ vector expected, got {input.ndim}, {mat.ndim}, {vec.ndim}"
        )
    if len({input.dtype, mat.dtype, vec.dtype}) > 1:
        raise RuntimeError(
            "addmv input tensors must have the same dtype, but got "
            f"{input.dtype.letter}, {mat.dtype.letter}, and {vec.dtype.letter}"
        )
    product = mv(mat, vec)
    if tuple(input._shape) not in ((), (1,), tuple(product._shape)):
        n, m = mat._shape
        raise RuntimeError(
            f"size mismatch, got input ({input._shape[0]}), mat ({n}x{m}), vec ({vec._shape[0]})"
        )
    return _scaled(product, input, beta, alpha)


@operator(inplace=True)
def addr(input: Tensor, vec1: Tensor, vec2: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """``beta * input + alpha * outer(vec1, vec2)``."""
    for name, vector in (("vec1", vec1), ("vec2", vec2)):
        if vector.ndim != 1:
            raise RuntimeError(f"addr: Expected 1-D argument {name}, but got {vector.ndim}-D")
    product = outer(vec1, vec2)
    return _scaled(product, input.expand(product._shape), beta, alpha)


@operator(inplace=True, backward_name="BaddbmmBackward0")
def baddbmm(
    input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: Any = 1, alpha: Any = 1
) -> Tensor:
    """``beta * input + alpha * bmm(batch1, batch2)``."""
    product = bmm(batch1, batch2)
    if input.dtype is not batch1.dtype:
        raise RuntimeError(
            f"Input dtypes must be the same, got: input {input.dtype.c_name}, batch1: "
            f"{batch1.dtype.c_name}, batch2: {batch2.dtype.c_name}"
        )
    return _scaled(product, input.expand(product._shape), beta, alpha)


@operator(inplace=True)
def addbmm(
    input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: Any = 1, alpha: Any = 1
) -> Tensor:
    """``beta * input + alpha * bmm(batch1, batch2).sum(0)``."""
    product = bmm(batch1, batch2).sum(0, dtype=batch1.dtype)
    return _scaled(product, input.expand(product._shape), beta, alpha)


@operator()
def inner(input: Tensor, other: Tensor) -> Tensor:
    """Sums of products over the last dimension of both."""
    if not input.ndim or not other.ndim:
        return input * other
    if input._shape[-1] != other._shape[-1]:
        raise RuntimeError(
            "inner() the last dimension must match on both input tensors but got shapes "
            f"{list(input._shape)} and {list(other._shape)}"
        )
    return tensordot(input, other, ([-1], [-1]))


@operator(method=False)
def tensordot(a: Tensor, b: Tensor, dims: Any = 2) -> Tensor:
    """Sums of products over several dimensions of both.

    Args:
        dims: how many last dimensions of ``a`` meet as many first ones of ``b``, or two lists.
    """
    if isinstance(dims, Tensor):
        dims = dims.tolist()
    if isinstance(dims, int):
        if dims < 0:
            raise RuntimeError(f"tensordot expects dims >= 0, but got dims={dims}")
        if dims > min(a.ndim, b.ndim):
            raise RuntimeError(f"tensordot expects dims < ndim_a or ndim_b, but got dims={dims}")
        dims = (list(range(-dims, 0)), list(range(dims)))
    given = [list(each) if isinstance(each, (tuple, list)) else [each] for each in dims]
    first = [wrap_dim(dim, a.ndim) for dim in given[0]]
    second = [wrap_dim(dim, b.ndim) for dim in given[1]]
    if len(first) != len(second):
        raise RuntimeError("both dimension lists should have same length")
    for position, (d, e) in enumerate(zip(first, second, strict=True)):
        if a._shape[d] != b._shape[e] and 1 not in (a._shape[d], b._shape[e]):
            raise RuntimeError(
                f"contracted dimensions need to match, but first has size {a._shape[d]} in dim "
                f"{given[0][position]} and second has size {b._shape[e]} in dim "
                f"{given[1][position]}"
            )
        if a._shape[d] != b._shape[e]:
            a = a.sum(d, keepdim=True, dtype=a.dtype) if b._shape[e] == 1 else a
            b = b.sum(e, keepdim=True, dtype=b.dtype) if a._shape[d] == 1 else b
    rows = [d for d in range(a.ndim) if d not in first]
    columns = [e for e in range(b.ndim) if e not in second]
    shape = [a._shape[d] for d in rows] + [b._shape[e] for e in columns]
    shared = int(np.prod([a._shape[d] for d in first]))
    height, width = (
        int(np.prod([a._shape[d] for d in rows])),
        int(np.prod([b._shape[e] for e in columns])),
    )
    left = a.permute(rows + first).reshape(height, shared)
    right = b.permute(second + columns).reshape(shared, width)
    return mm(left, right).reshape(shape)


@function
def chain_matmul(*matrices: Tensor, out: Tensor | None = None) -> Tensor:
    """The product of several matrices."""
    product = matrices[0]
    for matrix in matrices[1:]:
        product = mm(product, matrix)
    return product if out is None else out.copy_(product)


@operator(backward_name="UnsafeViewBackward0")
def kron(input: Tensor, other: Tensor) -> Tensor:
    """The Kronecker product: each element of ``input`` times all of ``other``, as blocks."""
    ndim = max(input.ndim, other.ndim)
    a = (1,) * (ndim - input.ndim) + tuple(input._shape)
    b = (1,) * (ndim - other.ndim) + tuple(other._shape)
    left = input.reshape([size for each in a for size in (each, 1)])
    right = other.reshape([size for each in b for size in (1, each)])
    return (left * right).reshape([x * y for x, y in zip(a, b, strict=True)])


@operator(out=False, backward_name="TraceBackward0")
def trace(input: Tensor) -> Tensor:
    """The sum of a matrix's diagonal."""
    if input.ndim != 2:
        raise RuntimeError(f"trace: expected a matrix, but got tensor with dim {input.ndim}")
    _no_bool("trace", input)
    return input.diagonal().sum()


@operator(method=False, backward_name="LinalgCrossBackward0")
def cross(input: Tensor, other: Tensor, dim: int | None = None) -> Tensor:
    """The cross product of vectors of three elements along a dimension."""
    if dim is None:
        warnings.warn(
            "Using torch.cross without specifying the dim arg is deprecated.\nPlease either pass "
            "the dim explicitly or simply use torch.linalg.cross.\nThe default value of dim will "
            "change to agree with that of linalg.cross in a future release.",
            stacklevel=4,
        )
        fitting = [d for d, size in enumerate(input._shape) if size == 3]
        if not fitting:
            raise RuntimeError("no dimension of size 3 in input")
        dim = fitting[0]
    if input.ndim != other.ndim:
        raise RuntimeError("linalg.cross: inputs must have the same number of dimensions.")
    dim = wrap_dim(dim, input.ndim)
    if input._shape[dim] != 3 or other._shape[dim] != 3:
        raise RuntimeError(
            f"linalg.cross: inputs dimension {dim} must have length 3. Got {input._shape[dim]} and "
            f"{other._shape[dim]}"
        )
    shape = broadcast_shapes(input._shape, other._shape)
    _no_bool("cross", input)
    a, b = input.expand(shape), other.expand(shape)
    return a.roll(-1, dim) * b.roll(1, dim) - a.roll(1, dim) * b.roll(-1, dim)


Tensor.cross = lambda self, other, dim=None: cross(self, other, dim)  # type: ignore[attr-defined]
