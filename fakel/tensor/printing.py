"""The printed form of tensors: `repr`, `print` and `format`, character for character as PyTorch.

`array_text` formats plain NumPy values; `tensor_repr` adds what belongs to a tensor around them.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from fakel.tensor import dtypes


@dataclasses.dataclass
class PrintOptions:
    """How tensors are printed; `set_printoptions` says what each field means."""

    precision: int = 4
    threshold: float = 1000
    edgeitems: int = 3
    linewidth: int = 80
    sci_mode: bool | None = None


PROFILES: dict[str, dict[str, Any]] = {
    "default": {"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80},
    "short": {"precision": 2, "threshold": 1000, "edgeitems": 2, "linewidth": 80},
    "full": {"precision": 4, "threshold": math.inf, "edgeitems": 3, "linewidth": 80},
}

options = PrintOptions()


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Set how tensors are printed, for the whole process.

    Args:
        precision: digits after the decimal point (4).
        threshold: tensors with more elements than this are shown by their edges only (1000).
        edgeitems: how many elements of each edge such a tensor shows (3).
        linewidth: columns of a line (80).
        profile: "default", "short" or "full", applied before the other arguments.
        sci_mode: scientific notation always (True), never (False), or as the values ask for
            (None). Every call sets it, also one that does not name it.
    """
    chosen = dict(PROFILES.get(profile, {})) if profile is not None else {}
    given = {
        "precision": precision,
        "threshold": threshold,
        "edgeitems": edgeitems,
        "linewidth": linewidth,
    }
    chosen.update({name: value for name, value in given.items() if value is not None})
    for name, value in chosen.items():
        setattr(options, name, value)
    options.sci_mode = sci_mode


def get_printoptions() -> dict[str, Any]:
    """The current options, as keyword arguments of `set_printoptions`."""
    return dataclasses.asdict(options)


@contextmanager
def printoptions(**changes: Any) -> Iterator[None]:
    """Context manager: the options of `set_printoptions`, until the block ends."""
    before = get_printoptions()
    set_printoptions(**changes)
    try:
        yield
    finally:
        set_printoptions(**before)


def array_text(values: np.ndarray, indent: int = 0) -> str:
    """The nested brackets of `values` (real or complex, any shape), continued lines indented.

    Args:
        values: the numbers; 16-bit floats must have been widened where NumPy lacks them.
        indent: the column in which the text begins.
    """
    if values.size == 0:
        return "[]"
    summarize = values.size > options.threshold
    shown = _edges(values) if summarize else values
    form = _complex_form(shown) if np.iscomplexobj(shown) else _real_form(shown)
    return _nested_text(values, indent, summarize, *form)


# A form is how to write one element, and the width that elements take in a line.
Form = tuple[Callable[[Any], str], int]


def _complex_form(values: np.ndarray) -> Form:
    write_real, real_width = _real_form(values.real)
    write_imaginary, imaginary_width = _real_form(values.imag)

    def write(value: complex) -> str:
        imaginary = write_imaginary(value.imag).lstrip() + "j"
        sign = "" if imaginary[0] in "+-" else "+"
        return write_real(value.real) + sign + imaginary

    return write, real_width + imaginary_width + 1


def _real_form(values: np.ndarray) -> Form:
    if values.dtype.kind == "f":
        return _float_form(values)
    width = max((len(str(value)) for value in values.ravel().tolist()), default=1)
    return (lambda value: str(value).rjust(width)), max(width, 1)


def _float_form(values: np.ndarray) -> Form:
    """Integers print as `3.`, others with a fixed number of digits, wide ranges as `3.0000e+00`.

    Zeros and non-finite values follow the rest: they neither choose the form nor widen it.
    """
    numbers = values[np.isfinite(values) & (values != 0)].astype(np.float64)
    integers = bool(np.all(numbers == np.ceil(numbers)))
    scientific = _is_scientific(numbers)
    precision = options.precision

    def bare(value: float) -> str:
        if scientific:
            return f"{value:.{precision}e}"
        if not integers:
            return f"{value:.{precision}f}"
        return f"{value:.0f}." if math.isfinite(value) else f"{value:.0f}"

    width = max((len(bare(value)) for value in numbers.tolist()), default=1)
    return (lambda value: bare(value).rjust(width)), width


def _is_scientific(numbers: np.ndarray) -> bool:
    if numbers.size == 0:
        return False
    if options.sci_mode is not None:
        return options.sci_mode
    smallest, largest = float(np.abs(numbers).min()), float(np.abs(numbers).max())
    return largest / smallest > 1000.0 or largest > 1.0e8 or smallest < 1.0e-4


def _edges(values: np.ndarray) -> np.ndarray:
    """The elements that a summarised text shows, as a smaller array of the same rank."""
    for dim, size in enumerate(values.shape):
        if size > 2 * options.edgeitems:
            kept = _edge_positions(size)
            values = np.take(values, kept, axis=dim)
    return values


def _edge_positions(size: int) -> list[int]:
    return [*range(options.edgeitems), *range(size - options.edgeitems, size)]


def _nested_text(
    values: np.ndarray, indent: int, summarize: bool, write: Callable[[Any], str], width: int
) -> str:
    if values.ndim == 0:
        return write(values.item())
    cut = summarize and len(values) > 2 * options.edgeitems
    positions = _edge_positions(len(values)) if cut else range(len(values))
    if values.ndim == 1:
        parts = [write(value) for value in values[list(positions)].tolist()]
        gap = " ..." if options.edgeitems else "..."
    else:
        parts = [
            _nested_text(values[position], indent + 1, summarize, write, width)
            for position in positions
        ]
        gap = "..."
    if cut:
        parts.insert(options.edgeitems, gap)
    margin = " " * (indent + 1)
    if values.ndim > 1:
        return "[" + ("," + "\n" * (values.ndim - 1) + margin).join(parts) + "]"
    per_line = max(1, (options.linewidth - indent) // (width + 2))
    lines = [parts[start : start + per_line] for start in range(0, len(parts), per_line)]
    return "[" + (",\n" + margin).join(", ".join(line) for line in lines) + "]"


def assemble(opening: str, text: str, suffixes: Sequence[str]) -> str:
    """`opening + text` followed by the suffixes, a new line for each that does not fit, and `)`."""
    result = opening + text
    column = len(result) - result.rfind("\n") + 1
    for suffix in suffixes:
        if column + len(suffix) + 2 > options.linewidth:
            result += ",\n" + " " * len(opening) + suffix
            column = len(opening) + len(suffix)
        else:
            result += ", " + suffix
            column += len(suffix) + 2
    return result + ")"


def shape_and_dtype_suffixes(
    shape: Sequence[int], dtype_name: str, default_dtype_name: str
) -> list[str]:
    """What is said about shape and dtype because the printed values do not show it.

    `dtype_name` and `default_dtype_name` are names without `torch.` ("float32").
    """
    empty = 0 in shape
    usual = {default_dtype_name}
    if not empty:
        usual |= {"int64", "bool"}
        usual.add("complex128" if default_dtype_name == "float64" else "complex64")
    suffixes = []
    if (empty and len(shape) != 1) or (not empty and not options.edgeitems):
        suffixes.append(f"size={tuple(shape)}")
    if dtype_name not in usual:
        suffixes.append(f"dtype=torch.{dtype_name}")
    return suffixes


def tensor_repr(tensor: Any, *, tensor_contents: str | None = None) -> str:
    """What `repr(tensor)` and `print(tensor)` show.

    Args:
        tensor: a tensor, parameter or instance of a subclass of them.
        tensor_contents: printed in place of the values, for subclasses with a text of their own.
    """
    name = _printed_name(type(tensor))
    opening = f"{name}("
    text = tensor_contents
    if text is None:
        text = array_text(tensor._values(), len(opening))
    default = dtypes.get_default_dtype().name
    suffixes = shape_and_dtype_suffixes(tuple(tensor.shape), tensor.dtype.name, default)
    if tensor.grad_fn is not None:
        suffixes.append(f"grad_fn=<{tensor.grad_fn.name().rsplit('::', 1)[-1]}>")
    elif tensor.requires_grad:
        suffixes.append("requires_grad=True")
    result = assemble(opening, text, suffixes)
    if name != "tensor" and any(_is_own(base, "Parameter") for base in type(tensor).__mro__):
        return f"Parameter({result})"
    return result


def _printed_name(kind: type) -> str:
    return "tensor" if _is_own(kind, "Tensor") or _is_own(kind, "Parameter") else kind.__name__


def _is_own(kind: type, name: str) -> bool:
    """Whether `kind` is fakel's class of that name; printing comes before both in the layers."""
    return kind.__qualname__ == name and kind.__module__.split(".")[0] in ("fakel", "torch")
