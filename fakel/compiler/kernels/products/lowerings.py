"""Matrix products: which operands are packed, how results are tiled, and the lowerings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from fakel.compiler.kernels.pointwise.meanings import is_pointwise
from fakel.compiler.kernels.products.dots import dot_kernel, dot_tiling
from fakel.compiler.kernels.products.packing import Packing, packing_kernel
from fakel.compiler.kernels.products.product import (
    DEPTH,
    Operand,
    Placed,
    Product,
    Step,
    Tiling,
    product_kernel,
    tiling,
)
from fakel.compiler.loop_ir import target
from fakel.compiler.planning.lowering import Access, lowers
from fakel.graph import Node
from fakel.runtime.team import fineness
from fakel.runtime.threads import get_num_threads

# multiply-adds, and elements moved, from which several threads are worth their start
_PARALLEL_WORK = 200_000
_PARALLEL_MOVES = 20_000
# bytes of b that should stay in the second-level cache while all rows of a meet them
_GROUP_BYTES = 384 * 1024
# bytes of all groups' copies up to which threads share single groups
_COPIES_BYTES = 1 << 20
_PAGE = 4096
# bytes between neighbours along the depth, and a depth, from which reading in place is slow
_FAR, _DEEP = 1024, 128
# of so many tiles which read an operand, copying it costs little
_OFTEN = 4
# estimated cycles to transpose an element into a strip, with vectors of 16 lanes
_TRANSPOSING_CYCLES = 0.25


@dataclass(frozen=True)
class Epilogue:
    """What happens to a product before it is written: it is multiplied with ``scale``, added to
    what ``out`` holds (``accumulate``) and to ``added``, and goes through ``steps``. What is added,
    and the operands of steps, are accesses that broadcast to the result's shape.
    """

    scale: float | None = None
    added: tuple[Access, ...] = ()
    accumulate: bool = False
    steps: tuple[Step, ...] = ()
    updates: tuple[Step, ...] = ()

    @property
    def before(self) -> tuple[Step, ...]:
        """The steps up to the result, of which the additions are the first."""
        return (*(Step("add", (None, each)) for each in self.added), *self.steps)

    @property
    def reads(self) -> list[Access]:
        """The tensors that all steps read, each once."""
        steps = (*self.before, *self.updates)
        return list(dict.fromkeys(each for step in steps for each in step.reads))

    @property
    def changed(self) -> list[Access]:
        """The tensors that updates change."""
        return [step.into for step in self.updates if step.into is not None]


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
    reads = [each.broadcast(out.shape) for each in epilogue.reads]
    changed = [_batched(each) for each in epilogue.changed]
    # a product with a vector is one row: the numbers of the matrix are then loaded as vectors
    if out.strides[2] != 1 or (out.shape[2] == 1 and out.strides[1] == 1):
        if out.strides[1] != 1:
            raise ValueError(f"neither rows nor columns of the result lie side by side: {out}")
        a, b, out = _transposed(b), _transposed(a), _transposed(out)
        reads, changed = ([_transposed(each) for each in some] for some in (reads, changed))
    if b.shape[0] > 1 and b.strides[0] == 0:
        # one b for every matrix of the batch: the rows of all matrices are those of one
        folded = [_folded(each) for each in (a, out, *reads, *changed)]
        found = [each for each in folded if each is not None]
        if len(found) == len(folded):
            a, out = found[:2]
            reads, changed = found[2 : 2 + len(reads)], found[2 + len(reads) :]
            b = replace(b, shape=(1, *b.shape[1:]))
    _multiply(plan, a, b, out, epilogue, [_loadable(plan, each) for each in reads], changed)


def _multiply(
    plan: Any,
    a: Access,
    b: Access,
    out: Access,
    epilogue: Epilogue,
    reads: list[Access],
    changed: list[Access],
) -> None:
    batch, rows, columns = out.shape
    depth = a.shape[2]
    scalar = out.scalar
    left = Operand(a.strides[0], a.strides[1], a.strides[2])
    right = Operand(b.strides[0], b.strides[2], b.strides[1])
    threads = get_num_threads() if batch == 1 else 1
    turned = b.strides[2] != 1
    tiles = tiling(rows, columns, depth, scalar, threads, turned)
    dots = False
    if depth and a.strides[2] == 1 and b.strides[1] == 1:
        along = dot_tiling(rows, columns, depth, scalar)
        copying = _TRANSPOSING_CYCLES * 16 / target.lanes(scalar) * depth * columns
        dots = along.cycles < tiles.cycles + (copying if turned else 0)
    if dots:
        tiles = along
    else:
        if depth and tiles.column_tiles > _OFTEN // 2 and _reads_slowly(a):
            a, left = _pack(plan, a, left, rows, depth, tiles.rows, tiles.last_rows)
        copied = turned or (tiles.row_tiles > _OFTEN and _reads_slowly(_transposed(b)))
        right = replace(right, packed=depth > 0 and copied)
    strip = min(depth, DEPTH) * tiles.columns * a.dtype.itemsize
    parts, groups = _shares(batch, tiles, strip, by_rows=not right.packed)
    numbers = {each: number for number, each in enumerate(epilogue.reads)}
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
        parts,
        groups,
        tuple(step.numbered(numbers) for step in epilogue.before),
        tuple(step.numbered(numbers) for step in epilogue.updates),
        tuple(Placed(*each.strides) for each in reads),
        tuple(Placed(*each.strides) for each in changed),
        epilogue.scale,
        epilogue.accumulate,
        depth if dots else DEPTH,
        # where threads share strips, each reads what all have just written of a
        right.packed and groups > 1 and _is_shared(plan, a),
    )
    arguments, writes = [a, b, *reads, out, *changed], [out, *changed]
    # an element of what is changed is read just before
    together = [-1, -2, *(0 for _ in reads), -3, *(0 for _ in changed)]
    if right.packed:
        copy = plan.scratch(product.units * product.copied_elements, out.dtype)
        arguments.append(copy)
        writes.append(copy)
        together.append(-4)
    work = batch * rows * columns * max(depth, 1)
    plan.call(
        (dot_kernel if dots else product_kernel)(product),
        arguments,
        writes=writes,
        parallel=work >= _PARALLEL_WORK,
        elementwise=together if changed else False,
        # a part has memory for one copy, which all its groups use: many parts leave the cache
        fine=product.units * product.copied_elements * a.dtype.itemsize <= _COPIES_BYTES,
    )


def _shares(batch: int, tiles: Tiling, strip: int, by_rows: bool) -> tuple[int, int]:
    """In how many parts threads share the rows, and in how many groups the strips, of so many bytes
    each: groups should stay in the cache, and threads should get equal numbers of them.

    Sharing rows, where that is fair, keeps a thread on memory of its own, which is what pointwise
    kernels do: the gradient of a weight stays in the cache of the processor that updates it and
    reads it next. Where strips are copied, each is copied once.
    """
    threads = get_num_threads()
    fine = threads << fineness(threads)
    groups = min(tiles.column_tiles, -(-tiles.column_tiles * strip // _GROUP_BYTES))
    parts, groups = 1, max(groups, 1)
    if by_rows and batch == 1 and tiles.row_tiles % threads == 0:
        return min(fine, tiles.row_tiles), groups
    if batch == 1 and tiles.column_tiles % threads == 0:
        return 1, max(groups, min(fine, tiles.column_tiles))

    def uneven() -> bool:
        units = batch * parts * groups
        return units % threads != 0 and units < 4 * threads

    while uneven() and groups < tiles.column_tiles:
        groups += 1
    while uneven() and parts < tiles.row_tiles:
        parts += 1
    return parts, groups


def _is_shared(plan: Any, a: Access) -> bool:
    """Whether a was made within the program, by all threads, and stays in the cache."""
    size = a.count * a.dtype.itemsize
    return 1 in a.strides[1:] and size <= _GROUP_BYTES and bool(plan.makes(a))


def _reads_slowly(access: Access) -> bool:
    """Whether tiles read an operand slowly where it lies: what they read lies whole pages apart, so
    that it falls on the same lines of the cache, or each step along the depth is far from the last.
    """
    columns, (_, row_step, column_step) = access.shape[2], access.strides
    size = access.dtype.itemsize
    if abs(column_step) > abs(row_step):
        return columns >= _DEEP and abs(column_step) * size >= _FAR
    return columns >= _DEEP and abs(row_step) * size % _PAGE == 0


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


@lowers("mm", "bmm", "addmm", "linear", "mv", "dot")
def product(plan: Any, node: Node) -> bool:
    """Products of matrices, batches of them, and vectors."""
    return product_with_epilogue(plan, node, ())


def product_with_epilogue(
    plan: Any, node: Node, following: Sequence[Node], updates: Sequence[Node] = ()
) -> bool:
    """Lowers a product and the pointwise nodes that follow it as one kernel.

    For example `linear` and `gelu`, or `mm` and the `relu_gradient` whose first input it is. The
    caller makes sure that nobody else reads the product and the nodes before the last one, and that
    the other inputs are lowered.

    Args:
        plan: the plan.
        node: the node "mm", "bmm", "addmm", "linear", "mv" or "dot"; its inputs are read.
        following: pointwise nodes; each has the one before it, the first one the product, among its
            inputs. The result of the last one is placed.
        updates: pointwise nodes that follow the last one, or each other, or read only tensors.
            Those that are wanted are placed.

    Returns:
        False, with nothing added, for what this has no kernel for: dtypes other than float32 and
        float64, several dtypes, nodes of another shape than the product's.
    """
    inputs = [plan.read(source) for source in node.inputs if source is not None]
    if not multiplies(*inputs):
        return False
    factors = _factors(node, inputs)
    if factors is None:
        return False
    a, b, *added = factors
    rows, columns = a.shape[-2], b.shape[-1]
    shape = (*a.shape[:-2], rows, columns)
    known = {id(node): len(added)}  # after how many steps there is which value
    steps: list[Step] = []
    for each in (*following, *updates):
        operands = _operands(plan, each, known, node, shape)
        if operands is None:
            return False
        steps.append(Step(each.operator.name, operands, tuple(each.parameters.items())))
        known[id(each)] = len(added) + len(steps)
    out = plan.result(([node, *following])[-1])
    changes = [
        replace(step, into=plan.result(each) if plan.is_wanted(each) else None)
        for step, each in zip(steps[len(following) :], updates, strict=True)
    ]
    strides = (rows * columns, columns, 1)[3 - len(shape) :]
    matmul(
        plan,
        a,
        b,
        replace(out, shape=shape, strides=strides),
        Epilogue(added=tuple(added), steps=tuple(steps[: len(following)]), updates=tuple(changes)),
    )
    return True


def _operands(
    plan: Any, node: Node, known: dict[int, int], product: Node, shape: tuple[int, ...]
) -> tuple[Any, ...] | None:
    """What a step reads: values by their numbers, and tensors, seen as matrices of this shape; None
    where it cannot follow the product.
    """
    if not is_pointwise(node) or node.dtype is not product.dtype or node.shape != product.shape:
        return None
    operands: list[Any] = []
    for source in node.inputs:
        if source is None:  # such as a bound that clamp does without
            return None
        if id(source) in known:
            operands.append(known[id(source)])
            continue
        access = plan.read(source)
        seen = _as_matrices(access.broadcast(product.shape), shape)
        if access.dtype is not product.dtype or seen is None:
            return None
        operands.append(seen)
    return tuple(operands)


def _factors(node: Node, inputs: list[Access]) -> tuple[Access, ...] | None:
    """The matrices (or batches of them) that a node multiplies, and what it adds (if anything)."""
    name = node.operator.name
    if name in ("mm", "bmm"):
        return inputs[0], inputs[1]
    if name == "addmm":
        return inputs[1], inputs[2], inputs[0]
    if name == "linear":
        data, weight, *bias = inputs
        rows = _matrix(data)
        (features, width), (step, across) = weight.shape, weight.strides
        turned = replace(weight, shape=(width, features), strides=(across, step))
        if rows is None and len(data.shape) == 3:
            # such as a sequence whose first dimensions are transposed: a batch of matrices
            batch = data.shape[0]
            return (
                data,
                replace(turned, shape=(batch, width, features), strides=(0, across, step)),
                *bias,
            )
        return None if rows is None else (rows, turned, *bias)
    left, vector = inputs
    matrix = replace(left, shape=(1, *left.shape)[-2:], strides=(0, *left.strides)[-2:])
    column = replace(vector, shape=(vector.shape[0], 1), strides=(vector.strides[0], 1))
    return matrix, column


def _as_matrices(access: Access, shape: tuple[int, ...]) -> Access | None:
    """An access of the shape that a node has, in the shape of the product that computes it."""
    if access.shape == shape:
        return access
    if len(access.shape) >= len(shape):
        return _matrix(access)
    # of a vector: it is the product's only row, or only column
    count = (access.shape or (1,))[0]
    row = (0, *access.strides)[-2:] if access.strides else (0, 0)
    return replace(access, shape=shape, strides=row if shape == (1, count) else row[::-1])


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
