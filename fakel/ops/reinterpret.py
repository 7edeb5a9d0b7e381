"""The same bytes as elements of another dtype: ``tensor.view(dtype)``."""

from __future__ import annotations

from fakel.interpreter import narrow, widen
from fakel.ops.declare import not_differentiable, primitive
from fakel.tensor import Tensor, dtypes
from fakel.tensor.dtypes import dtype


@primitive("view_dtype")
def _reinterpret(input, *, source, target):
    # meanings get float16 and bfloat16 widened, so bits are taken from the narrow form
    stored = narrow(input, dtypes.by_name(source))
    return widen(
        stored.reshape(*stored.shape, 1)
        .view(dtypes.by_name(target).storage)
        .reshape(
            _last(stored.shape, dtypes.by_name(source).itemsize, dtypes.by_name(target).itemsize)
        ),
        dtypes.by_name(target),
    )


def _last(shape: tuple[int, ...], old: int, new: int) -> tuple[int, ...]:
    return shape if old == new else (*shape[:-1], shape[-1] * old // new)


not_differentiable(_reinterpret)


def view_dtype(tensor: Tensor, target: dtype) -> Tensor:
    """The tensor's bytes as elements of ``target``.

    For dtypes of the same size the result shares memory as NumPy views do; writing to it is not
    seen by the original, which PyTorch allows and fakel refuses to promise.

    Raises:
        RuntimeError: when the sizes do not fit.
    """
    old, new = tensor.itemsize, target.itemsize
    shape = tuple(tensor._shape)
    if old != new:
        if not shape:
            raise RuntimeError(
                f"self.dim() cannot be 0 to view {tensor.dtype.letter} as {target.letter} "
                "(different "
                "element sizes)"
            )
        if tensor.stride(-1) != 1:
            raise RuntimeError(
                f"self.stride(-1) must be 1 to view {tensor.dtype.letter} as {target.letter} "
                "(different "
                f"element sizes), but got {tensor.stride(-1)}"
            )
        if shape[-1] * old % new:
            raise RuntimeError(
                f"self.size(-1) must be divisible by {new // old} to view {tensor.dtype.letter} as "
                f"{target.letter} (different element sizes), but got {shape[-1]}"
            )
    return _reinterpret(
        tensor,
        shape=_last(shape, old, new),
        dtype=target,
        source=tensor.dtype.name,
        target=target.name,
    )
