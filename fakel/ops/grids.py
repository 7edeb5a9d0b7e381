"""Index grids and combinations: ``meshgrid``, ``cartesian_prod``, ``tril_indices`` …"""

from __future__ import annotations

import itertools
import warnings

import numpy as np

from fakel import ops
from fakel.ops.declare import function
from fakel.ops.options import Options
from fakel.tensor import Tensor, dtypes


def _several(tensors):
    return (
        list(tensors[0])
        if len(tensors) == 1 and isinstance(tensors[0], (tuple, list))
        else list(tensors)
    )


@function
def meshgrid(*tensors, indexing=None):
    """The coordinates of a grid spanned by vectors: one tensor each, of the grid's shape.

    Args:
        indexing: "ij" (the first vector goes with the first dimension) or "xy" (with the second).
    """
    vectors = _several(tensors)
    if indexing is None:
        warnings.warn(
            "torch.meshgrid: in an upcoming release, it will be required to pass the indexing "
            "argument.",
            UserWarning,
            stacklevel=2,
        )
        indexing = "ij"
    if not vectors:
        raise RuntimeError("meshgrid expects a non-empty TensorList")
    if indexing not in ("ij", "xy"):
        raise RuntimeError(
            f'torch.meshgrid: indexing must be one of "xy" or "ij", but received: {indexing}'
        )
    for vector in vectors:
        if vector.ndim > 1:
            raise RuntimeError(
                f"torch.meshgrid: Expected 0D or 1D tensor in the tensor list but got: {vector}"
            )
    if any(vector.dtype is not vectors[0].dtype for vector in vectors):
        raise RuntimeError("torch.meshgrid expects all tensors to have the same dtype")
    swapped = indexing == "xy" and len(vectors) >= 2
    if swapped:
        vectors[:2] = vectors[1::-1]
    shape = [vector.numel() for vector in vectors]
    grids = []
    for dim, vector in enumerate(vectors):
        sizes = [1] * len(shape)
        sizes[dim] = shape[dim]
        grids.append(vector.reshape(sizes).expand(shape))
    if swapped:
        grids[:2] = grids[1::-1]
    return tuple(grids)


@function
def cartesian_prod(*tensors):
    """All tuples with one element of each vector, as rows."""
    vectors = _several(tensors)
    for vector in vectors:
        if vector.ndim != 1:
            raise RuntimeError("Expect a 1D vector, but got shape " + str(list(vector._shape)))
    if len(vectors) == 1:
        return vectors[0]
    return ops.stack([grid.reshape(-1) for grid in meshgrid(*vectors, indexing="ij")], 1)


@function
def combinations(input, r=2, with_replacement=False):
    """All combinations of r elements of a vector, as rows."""
    if input.ndim != 1:
        raise RuntimeError(f"Expect a 1D vector, but got shape {list(input._shape)}")
    if r < 0:
        raise RuntimeError(f"Expect a non-negative number, but got {r}")
    if r == 0:
        return ops.empty(0, dtype=input.dtype)
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    chosen = np.array(list(choose(range(input._shape[0]), r)), np.int64).reshape(-1, r)
    index = Tensor._from_array(chosen.ravel())
    return input.index_select(0, index).reshape(chosen.shape)


@function
def vander(x, N=None, increasing=False):
    """The matrix of a vector's powers, N columns from the highest (or the lowest) on."""
    if x.ndim != 1:
        raise RuntimeError("x must be a one-dimensional tensor.")
    columns = x._shape[0] if N is None else N
    if columns < 0:
        raise RuntimeError("N must be non-negative.")
    kind = x.dtype if x.is_floating_point() or x.is_complex() else dtypes.int64
    rows = x.to(kind).unsqueeze(-1)
    front = ops.ones((x._shape[0], min(columns, 1)), dtype=kind)
    if columns > 1:
        powers = rows.expand(-1, columns - 1).cumprod(-1)
        front = ops.cat((front, powers), -1)
    return front if increasing else front.flip(-1)


def _triangle(name, pick, row, col, offset, dtype, device, layout):
    options = Options(name, dtype, dtypes.int64, None, layout, device, False)
    if options.dtype not in (dtypes.int32, dtypes.int64):
        raise NotImplementedError(f"\"{name}\" not implemented for '{options.dtype.letter}'")
    for what, size in (("row", row), ("col", col)):
        if size < 0:
            raise RuntimeError(f"{what} must be non-negative, got{size}")
    indices = np.stack(pick(row, offset, col)) if row and col else np.empty((2, 0))
    return Tensor._from_array(indices.astype(options.dtype.storage), options.dtype)


@function
def tril_indices(row, col, offset=0, *, dtype=None, device=None, layout=None):
    """The row and column indices of a matrix's lower triangle, as a (2, n) tensor."""
    return _triangle("tril_indices", np.tril_indices, row, col, offset, dtype, device, layout)


@function
def triu_indices(row, col, offset=0, *, dtype=None, device=None, layout=None):
    """The row and column indices of a matrix's upper triangle, as a (2, n) tensor."""
    return _triangle("triu_indices", np.triu_indices, row, col, offset, dtype, device, layout)
