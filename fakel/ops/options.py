"""The arguments that all functions which make a tensor have in common, and shapes."""

from __future__ import annotations

from typing import Any

from fakel.ops.inplace import check_writable
from fakel.tensor import Size, Tensor, dtype, dtypes
from fakel.tensor.device import check_device


class Options:
    """Checked ``dtype=``, ``out=``, ``layout=``, ``device=``, ``requires_grad=``, ``pin_memory=``.

    Args:
        name: the function, for error messages.
        kind: ``dtype=``; Python's own types stand for dtypes too.
        default: the dtype where neither that nor ``out`` says one.
        out: a tensor to write into.
        layout: strided, the only one there is.
        device: the CPU.
        requires_grad: whether the result requires a gradient.
        pin_memory: must be False.
    """

    def __init__(
        self,
        name: str,
        kind: Any,
        default: dtype,
        out: Any,
        layout: Any,
        device: Any,
        requires_grad: bool,
        pin_memory: bool = False,
    ) -> None:
        kind = dtypes.from_python(kind)
        if kind is not None and not isinstance(kind, dtype):
            raise TypeError(
                f"{name}(): argument 'dtype' must be torch.dtype, not {type(kind).__name__}"
            )
        if out is not None:
            if not isinstance(out, Tensor):
                found = type(out).__name__
                raise TypeError(f"{name}(): argument 'out' must be Tensor, not {found}")
            if kind not in (None, out.dtype):
                raise RuntimeError(
                    f"dtype {kind.letter} does not match dtype of out parameter "
                    f"({out.dtype.letter})"
                )
            kind = out.dtype
        if layout is not None and str(layout) != "torch.strided":
            raise NotImplementedError(f"{name}() makes strided tensors only, not {layout}")
        if pin_memory:
            raise RuntimeError(
                "pin_memory=True requires a CUDA or other accelerator backend; no pinned memory "
                "allocator is available on this system."
            )
        check_device(device)
        self.dtype: dtype = default if kind is None else kind
        if requires_grad and not (self.dtype.is_floating_point or self.dtype.is_complex):
            raise RuntimeError(
                "Only Tensors of floating point and complex dtype can require gradients"
            )
        self.out = out
        self.requires_grad = requires_grad

    def check_out(self) -> None:
        """Refuses ``out=`` tensors that must not be written, before anything is drawn."""
        if self.out is not None:
            check_writable(self.out)


def shape_argument(name: str, sizes: Any, unpacked: bool, position: int = 1) -> Size:
    """A shape from ``(2, 3)`` as one argument or, ``unpacked``, from ``2, 3`` as several."""
    if unpacked and len(sizes) == 1 and isinstance(sizes[0], (tuple, list)):
        sizes = sizes[0]
    elif unpacked and sizes and not _is_integer(sizes[0]):
        if len(sizes) > 1 and isinstance(sizes[0], (tuple, list)):
            got = ", ".join(type(size).__name__ for size in sizes)
            raise TypeError(f"{name}() received an invalid combination of arguments - got ({got})")
        sizes = sizes[0]
    if not isinstance(sizes, (tuple, list)):
        where = f" (position {position})" if position else ""
        raise TypeError(
            f"{name}(): argument 'size'{where} must be tuple of ints, not {type(sizes).__name__}"
        )
    for index, size in enumerate(sizes):
        if not hasattr(size, "__index__"):
            raise TypeError(
                f"{name}(): argument 'size' failed to unpack the object at pos {index + 1} with "
                f'error "type must be tuple of ints,but got {type(size).__name__}"'
            )
    return check_sizes(Size(size.__index__() for size in sizes))


def check_sizes(shape: Any) -> Any:
    """The shape, of which no size may be negative.

    Raises:
        RuntimeError: when one is.
    """
    for size in shape:
        if size < 0:
            raise RuntimeError(
                f"Trying to create tensor with negative dimension {size}: {list(shape)}"
            )
    return shape


def _is_integer(value: Any) -> bool:
    return hasattr(value, "__index__") and not isinstance(value, bool)


def integer_argument(name: str, argument: str, position: int, value: Any) -> int:
    """An int from an argument that must be one."""
    if not _is_integer(value):
        raise TypeError(
            f"{name}(): argument '{argument}' (position {position}) must be int, not "
            f"{type(value).__name__}"
        )
    integer: int = value.__index__()
    if not -(1 << 63) <= integer < 1 << 63:
        raise ValueError("Overflow when unpacking long long")
    return integer
