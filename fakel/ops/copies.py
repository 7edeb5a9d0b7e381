"""The view operators that copy: ``expand_copy`` and so on, whose results share no memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fakel.ops.declare import FUNCTIONS, operator
from fakel.tensor import Tensor

_VIEWS = (
    "as_strided",
    "detach",
    "diagonal",
    "expand",
    "narrow",
    "permute",
    "select",
    "split",
    "split_with_sizes",
    "squeeze",
    "t",
    "transpose",
    "unbind",
    "unfold",
    "unsqueeze",
    "view",
    "view_as_complex",
    "view_as_real",
)


def _alias(input: Tensor) -> Tensor:
    return input


def _slice(
    input: Tensor, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Tensor:
    whole: tuple[slice, ...] = (slice(None),) * (dim % input.ndim)
    return input[(*whole, slice(start, end, step))]  # type: ignore[no-any-return]


def _declare(name: str, view: Callable[..., Any]) -> None:
    def copy(input: Tensor, *arguments: Any, **named: Any) -> Any:
        found = view(input, *arguments, **named)
        if isinstance(found, (tuple, list)):
            return tuple(part.clone() for part in found)
        return found.clone()

    copy.__name__ = copy.__qualname__ = f"{name}_copy"
    copy.__doc__ = f"``{name}`` whose result is a copy."
    title = "".join(part.title() for part in name.split("_")) + "CopyBackward0"
    operator(method=name == "narrow", backward_name=title)(copy)


for _name in _VIEWS:
    _declare(_name, FUNCTIONS[""].get(_name) or getattr(Tensor, _name))
_declare("alias", _alias)
_declare("slice", _slice)
