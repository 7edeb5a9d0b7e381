"""PyTorch's signatures, and which of their parameters an argument is refused by.

The functions of PyTorch's C++ side know their arguments by lines such as
``add(Tensor input, Tensor other, *, Scalar alpha=1, Tensor out=None)``. They are looked up when a
call has failed (see refusals.py): a call that succeeds never comes here.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from importlib import resources
from typing import Any

import numpy as np

from fakel.tensor import Generator, Tensor, dtype
from fakel.tensor.device import device
from fakel.tensor.dtypes import from_python
from fakel.tensor.formats import Layout, MemoryFormat

# NumPy's names for what torch calls otherwise
_NUMPY_NAMES = {
    "dim": ("axis",),
    "keepdim": ("keepdims",),
    "input": ("x", "a", "x1"),
    "other": ("x2",),
}
# the functions that take numbers for tensors
_NUMBERS_TOO = {
    *("add", "sub", "mul", "div", "divide", "multiply", "subtract", "true_divide"),
    *("floor_divide", "copy"),
}


def _is_long(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def _is_single(value: Any, integral: bool) -> bool:
    if not isinstance(value, Tensor) or value.requires_grad or value.ndim:
        return False
    kind = value.dtype
    return not integral or not (kind.is_floating_point or kind.is_complex or kind.name == "bool")


def _is_double(value: Any) -> bool:
    return isinstance(value, (float, int, np.number, np.bool_)) or _is_single(value, False)


def _is_number(value: Any) -> bool:
    return isinstance(value, complex) or _is_double(value)


def _is_index(value: Any) -> bool:
    if isinstance(value, bool):
        return False
    if isinstance(value, Tensor):
        return value.numel() == 1 and not (value.is_floating_point() or value.is_complex())
    try:
        operator.index(value)
    except TypeError:
        return False
    return True


class Parameter:
    """One parameter of a signature.

    Args:
        text: as it stands there, "Tensor? bias=None".
        keyword_only: whether it stands after the star.
        function: the name of the function.
    """

    def __init__(self, text: str, keyword_only: bool, function: str) -> None:
        kind, name = text.split(" ", 1)
        kind, nullable, _ = kind.partition("?")
        kind, bracket, size = kind.partition("[")
        self.size = int(size.rstrip("]") or 0) if bracket else 0
        self.name, _, self.default = name.partition("=")
        self.optional = "=" in name
        self.takes_none = bool(nullable) or self.default == "None"
        self.keyword_only = keyword_only
        self.kind, self._check = _KINDS[kind]
        self.numbers_too = kind == "Tensor" and function.rstrip("_") in _NUMBERS_TOO

    @property
    def is_shape(self) -> bool:
        """Whether it takes ints, also one by one: ``view(2, 3)``."""
        return self.kind == "tuple of ints"

    def given(self, kwargs: dict[str, Any]) -> str | None:
        """The name by which the keywords have it."""
        for name in (self.name, *_NUMPY_NAMES.get(self.name, ())):
            if name in kwargs:
                return name
        return None

    def refuses(self, value: Any) -> bool | int:
        """False for a value it takes; True, or the position of the element that is wrong."""
        if self.kind.startswith("tuple of "):
            return self._refuses_elements(value)
        if self.numbers_too and _is_number(value):
            return False
        return not self._check(value)

    def takes_one(self, value: Any) -> bool:
        """Whether a value may be an element of a sequence."""
        return self._check(value)

    def _refuses_elements(self, value: Any) -> bool | int:
        if not isinstance(value, (tuple, list)):
            return not (self.size and self.is_shape and self._check(value))
        if self.kind == "tuple of Tensors":
            return False  # its elements are looked at by `wrong_element`
        if self.kind == "tuple of ints":
            value = value[:1]
        for place, each in enumerate(value):
            if not self._check(each):
                return _Place(place)
        return False

    def wrong_element(self, value: Any) -> int | None:
        """The position of the first element that is no tensor, where tensors are wanted."""
        if self.kind == "tuple of Tensors" and isinstance(value, (tuple, list)):
            for place, each in enumerate(value):
                if not isinstance(each, Tensor):
                    return place
        return None

    def __str__(self) -> str:
        return f"{self.kind} {self.name}" + (f" = {self.default}" if self.optional else "")


class _Place(int):
    """The position of an element, which is true also where it is 0."""

    def __bool__(self) -> bool:
        return True


_KINDS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "Tensor": ("Tensor", lambda value: isinstance(value, Tensor)),
    "Scalar": ("Number", _is_number),
    "int64_t": ("int", lambda value: _is_long(value) or _is_single(value, True)),
    "SymInt": ("int", _is_index),
    "double": ("float", _is_double),
    "complex": ("complex", _is_number),
    "TensorList": ("tuple of Tensors", lambda value: isinstance(value, Tensor)),
    "c10::List<::std::optional<Tensor>>": ("tuple of Tensors", lambda value: True),
    "IntArrayRef": ("tuple of ints", _is_index),
    "SymIntArrayRef": ("tuple of ints", _is_index),
    "ArrayRef<double>": ("tuple of floats", _is_double),
    "ScalarList": ("tuple of Scalars", _is_number),
    "Generator": ("torch.Generator", lambda value: isinstance(value, Generator)),
    "bool": ("bool", lambda value: isinstance(value, bool)),
    "Storage": ("torch.Storage", lambda value: type(value).__name__.endswith("Storage")),
    "PyObject*": ("object", lambda value: True),
    "ScalarType": (
        "torch.dtype",
        lambda value: isinstance(from_python(value), dtype),
    ),
    "Layout": ("torch.layout", lambda value: isinstance(value, Layout)),
    "MemoryFormat": ("torch.memory_format", lambda value: isinstance(value, MemoryFormat)),
    "QScheme": ("torch.qscheme", lambda value: False),
    "Device": ("torch.device", lambda value: _is_long(value) or isinstance(value, (str, device))),
    "Stream": ("Stream", lambda value: False),
    "std::string": ("str", lambda value: isinstance(value, str)),
    "c10::string_view": ("str", lambda value: isinstance(value, str)),
    "Dimname": ("name", lambda value: value is None or isinstance(value, str)),
    "DimnameList": ("tuple of names", lambda value: value is None or isinstance(value, str)),
}


class Signature:
    """One form of a function: ``mean(*, ScalarType? dtype=None)``.

    Args:
        line: in PyTorch's notation; "|deprecated" or "|hidden" at its end keeps it out of messages,
            "|nothing" says that the function takes no arguments at all.
    """

    def __init__(self, line: str) -> None:
        form, _, mark = line.partition("|")
        self.hidden = bool(mark)
        self.takes_nothing = mark == "nothing"
        self.name, _, inside = form[:-1].partition("(")
        before, star, after = f", {inside}, ".partition(", *, ")
        groups = ((before, False), (after, True)) if star else ((before, False),)
        self.parameters = [
            Parameter(text, keyword_only, self.name)
            for group, keyword_only in groups
            for text in group.split(", ")
            if text
        ]
        self.positional = sum(not each.keyword_only for each in self.parameters)
        self.required = sum(not each.optional for each in self.parameters)

    def __str__(self) -> str:
        parts = [str(each) for each in self.parameters]
        if self.positional < len(parts):
            parts.insert(self.positional, "*")
        return f"({', '.join(parts)})"


@functools.cache
def _lines() -> dict[str, list[str]]:
    text = resources.files("fakel.ops").joinpath("signatures.txt").read_text(encoding="utf-8")
    table: dict[str, list[str]] = {}
    namespace = ""
    for line in text.splitlines():
        if line.startswith("["):
            namespace = line[1:-1]
        elif line and not line.startswith("#"):
            public, differs, form = line.rpartition(": ")
            public = public if differs else form.partition("(")[0]
            table.setdefault(f"{namespace}.{public}", []).append(form)
    return table


@functools.cache
def signatures(path: str) -> tuple[Signature, ...]:
    """All forms of a function, in the order in which PyTorch tries them; none where it is none of
    the C++ side's.

    Args:
        path: "torch.add", "Tensor.add", "linalg.inv".
    """
    return tuple(Signature(line) for line in _lines().get(path, ()))
