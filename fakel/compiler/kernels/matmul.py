"""Matrix products: which operands are packed, how results are tiled, and the lowerings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from fakel.compiler import target
from fakel.compiler.kernels.dots import dot_kernel, dot_tiling
from fakel.compiler.kernels.packing import Packing, packing_kernel
from fakel.compiler.kernels.products import Added, Operand, Product, product_kernel, tiling
from fakel.compiler.lowering import Access, lowers
from fakel.graph import Node

# multiply-adds, and elements moved, from which several threads are worth their start
_PARALLEL_WORK = 200_000
_PARALLEL_MOVES = 20_000
# bytes of b up to which it is read where it lies, when vectors can be loaded from there
_UNPACKED_BYTES = 1024 * 1024
_CACHE_BYTES = 64 * 1024
_PAGE = 4096
# estimated cycles to transpose an element into a packed strip, with vectors of 16 lanes
_PACKING_CYCLES = 0.4


@dataclass(frozen=True)
class Epilogue:
    """What happens to a product before it is written: ``relu(scale * a·b + sum(added))``.

    ``added`` are broadcast to the result's shape (a bias for each column has shape (n,), one for
    each row (m, 1)). With ``accumulate`` the result is added to what ``out`` holds.
    """

    scale: float | None = None
    added: tuple[Access, ...] = ()
    accumulate: bool = False
    relu: bool = False


def multiplies(*accesses: Access) -> bool:
    """Whether there are kernels for products of these: all of them float32, or all float64."""
    kinds = {access.dtype.name for access in accesses}
    return len(kinds) == 1 and kinds <= {"float32", "float64"}


def matmul(plan: Any, a: Access, b: Access, out: Access, epilogue: Epilogue | None = None) -> None:
    """Adds the kernel calls of ``out = a · b``.

    Args:
        a: (m, k) or (batch, m, k), any strides.
        b: (k, n) or (batch, k, n), any strides.
        out: (m, n) or (batch, m, n); its columns or its rows lie side by side.
        epilogue: what is done to the result.
    """
    if not out.count:
        return
    epilogue = epilogue or Epilogue()
    a, b, out = _batched(a), _batched(b), _batched(out)
    added = tuple(broadcast(each, out.shape) for each in epilogue.added)
    # a product with a vector is one row: the numbers of the matrix are then loaded as vectors
    if out.strides[2] != 1 or (out.shape[2] == 1 and out.strides[1] == 1):
        if out.strides[1] != 1:
            raise ValueError(f"neither rows nor columns of the result lie side by side: {out}")
        a, b, out = _transposed(b), _transposed(a), _transposed(out)
        added = tuple(_transposed(each) for each in added)
    if b.shape[0] > 1 and b.strides[0] == 0:
        # one b for every matrix of the batch: the rows of all matrices are those of one
        folded = [_folded(each) for each in (a, out, *added)]
        found = [each for each in folded if each is not None]
        if len(found) == len(folded):
            a, out, *rest = found
            b = replace(b, shape=(1, *b.shape[1:]))
            added = tuple(rest)
    added = tuple(_loadable(plan, each) for each in added)
    _multiply(plan, a, b, out, replace(epilogue, added=added))


def _multiply(plan: Any, a: Access, b: Access, out: Access, epilogue: Epilogue) -> None:
    batch, rows, columns = out.shape
    depth = a.shape[2]
    scalar = out.scalar
    left = Operand(a.strides[0], a.strides[1], a.strides[2])
    right = Operand(b.strides[0], b.strides[2], b.strides[1])
    tiles = tiling(rows, columns, depth, scalar)
    lanes = target.lanes(scalar)
    pack_b = depth > 0 and _pack_b(b, tiles.row_tiles)
    dots = False
    if depth and a.strides[2] == 1 and b.strides[1] == 1:
        along = dot_tiling(rows, columns, depth, scalar)
        packing = depth * columns * _PACKING_CYCLES * 16 / lanes if pack_b else 0
        dots = along.cycles < tiles.cycles + packing
        tiles = along if dots else tiles
    if not dots:
        if depth and _pack_a(a, tiles.column_tiles):
            a, left = _pack(plan, a, left, rows, depth, tiles.rows, tiles.last_rows)
        if pack_b:
            last = -(-tiles.last_columns // lanes) * lanes
            b, right = _pack(plan, b, right, columns, depth, tiles.columns, last)
    product = Product(
        scalar,
        batch,
        rows,
        columns,
        depth,
        left,
        right,
        out.strides[0],
        out.strides[1],
        tiles,
        tuple(Added(*each.strides) for each in epilogue.added),
        epilogue.scale,
        epilogue.accumulate,
        epilogue.relu,
    )
    work = batch * rows * columns * max(depth, 1)
    plan.call(
        (dot_kernel if dots else product_kernel)(product),
        [a, b, *epilogue.added, out],
        writes=[out],
        parallel=work >= _PARALLEL_WORK,
    )


def _pack_a(a: Access, uses: int) -> bool:
    return uses > 1 and _collides(a)


def _pack_b(b: Access, uses: int) -> bool:
    """Whether b is packed: always when vectors cannot be loaded from it, else when its rows fall on
    the same lines of the cache, or on too many pages.
    """
    size = b.shape[1] * b.shape[2] * b.dtype.itemsize
    return b.strides[2] != 1 or (uses > 4 and (_collides(b) or size > _UNPACKED_BYTES))


def _collides(access: Access) -> bool:
    """Whether what a tile reads falls on the same lines of the cache: it lies whole pages apart."""
    step = max(abs(access.strides[1]), abs(access.strides[2])) * access.dtype.itemsize
    size = access.shape[1] * access.shape[2] * access.dtype.itemsize
    return step % _PAGE == 0 and size > _CACHE_BYTES


def _pack(
    plan: Any, source: Access, lies: Operand, extent: int, depth: int, width: int, last: int
) -> tuple[Access, Operand]:
    batch = source.shape[0] if lies.batch_stride else 1
    packing = Packing(
        source.scalar,
        batch,
        extent,
        depth,
        lies.batch_stride,
        lies.extent_stride,
        lies.depth_stride,
        width,
        last,
    )
    packed = plan.scratch(batch * packing.count, source.dtype)
    moves = batch * packing.count
    plan.call(
        packing_kernel(packing),
        [source, packed],
        writes=[packed],
        parallel=moves >= _PARALLEL_MOVES,
    )
    return packed, Operand(packing.count if lies.batch_stride else 0, 0, 0, packed=True)


# ------------------------------------------------------------------------ accesses


def broadcast(access: Access, shape: Sequence[int]) -> Access:
    """The access as one of a larger shape, in which it repeats."""
    missing = len(shape) - len(access.shape)
    sizes = (1,) * missing + tuple(access.shape)
    steps = (0,) * missing + tuple(access.strides)
    strides = tuple(0 if size == 1 else step for size, step in zip(sizes, steps, strict=True))
    return replace(access, shape=tuple(shape), strides=strides)


def _batched(access: Access) -> Access:
    """The access with three dimensions; strides along dimensions of size 1 are made harmless."""
    shape, strides = access.shape, access.strides
    if len(shape) == 2:
        shape, strides = (1, *shape), (0, *strides)
    batch, rows, columns = strides
    batch = 0 if shape[0] == 1 else batch
    if shape[2] == 1:
        columns = 1
    if shape[1] == 1:
        rows = max(shape[2], 1) if columns == 1 else 1
    return replace(access, shape=shape, strides=(batch, rows, columns))


def _transposed(access: Access) -> Access:
    (b, m, n), (bs, ms, ns) = access.shape, access.strides
    return replace(access, shape=(b, n, m), strides=(bs, ns, ms))


def _folded(access: Access) -> Access | None:
    """The rows of all matrices of a batch as those of one, where they follow one another."""
    (batch, rows, columns), (batch_step, row_step, column_step) = access.shape, access.strides
    if rows == 1:
        row_step = batch_step
    if batch > 1 and batch_step != rows * row_step:
        return None
    return replace(access, shape=(1, batch * rows, columns), strides=(0, row_step, column_step))


def _loadable(plan: Any, access: Access) -> Access:
    """The summand itself, or a copy of it whose columns lie side by side."""
    if access.strides[2] in (0, 1):
        return access
    batch, rows, columns = access.shape
    steps = access.strides
    packing = Packing(
        access.scalar, batch, columns, rows, steps[0], steps[2], steps[1], columns, columns
    )
    copy: Access = plan.scratch(batch * packing.count, access.dtype)
    plan.call(packing_kernel(packing), [access, copy], writes=[copy], parallel=False)
    return replace(copy, shape=access.shape, strides=(rows * columns, columns, 1))


# ------------------------------------------------------------------------ lowerings


def _inputs(plan: Any, node: Node) -> list[Access] | None:
    found = [plan.read(source) for source in node.inputs if source is not None]
    return found if multiplies(*found) else None


@lowers("mm", "bmm")
def mm(plan: Any, node: Node) -> bool:
    """Products of matrices, and of batches of them."""
    inputs = _inputs(plan, node)
    if inputs is None:
        return False
    matmul(plan, inputs[0], inputs[1], plan.result(node))
    return True


@lowers("addmm")
def addmm(plan: Any, node: Node) -> bool:
    """``input + a · b``."""
    inputs = _inputs(plan, node)
    if inputs is None:
        return False
    matmul(plan, inputs[1], inputs[2], plan.result(node), Epilogue(added=(inputs[0],)))
    return True


@lowers("linear")
def linear(plan: Any, node: Node) -> bool:
    """``input · weightᵀ + bias`` over the last dimension of the input."""
    inputs = _inputs(plan, node)
    if inputs is None:
        return False
    data, weight, *bias = inputs
    rows = _matrix(data)
    if rows is None:
        return False
    out = plan.result(node)
    (features, width), (step, across) = weight.shape, weight.strides
    turned = replace(weight, shape=(width, features), strides=(across, step))
    flat = replace(out, shape=(rows.shape[0], features), strides=(features, 1))
    matmul(plan, rows, turned, flat, Epilogue(added=tuple(bias)))
    return True


def _matrix(access: Access) -> Access | None:
    """The access with all dimensions but the last as one, where their strides allow it."""
    count, step = 1, 0
    for size, stride in reversed(list(zip(access.shape[:-1], access.strides[:-1], strict=True))):
        if size == 1:
            continue
        if count == 1:
            step = stride
        elif stride != count * step:
            return None
        count *= size
    return replace(access, shape=(count, access.shape[-1]), strides=(step, access.strides[-1]))


@lowers("mv", "dot")
def mv(plan: Any, node: Node) -> bool:
    """A matrix, or a vector, times a vector."""
    inputs = _inputs(plan, node)
    if inputs is None:
        return False
    left, vector = inputs
    rows = (1, *left.shape)[-2:], (0, *left.strides)[-2:]
    matrix = replace(left, shape=rows[0], strides=rows[1])
    column = replace(vector, shape=(vector.shape[0], 1), strides=(vector.strides[0], 1))
    out = plan.result(node)
    matmul(plan, matrix, column, replace(out, shape=(rows[0][0], 1), strides=(1, 1)))
    return True
