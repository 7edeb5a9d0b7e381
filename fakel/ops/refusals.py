"""What PyTorch says to arguments that fit none of a function's signatures.

The wording is that of PyTorch's parser of arguments (torch/csrc/utils/python_arg_parser.cpp and
invalid_arguments.cpp, version 2.13).
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

from fakel.autograd import autocast
from fakel.ops.signatures import Parameter, Signature, signatures
from fakel.tensor import Generator, Size, device, dtype
from fakel.tensor.formats import Layout, MemoryFormat
from fakel.tensor.typed_storage import TypedStorage
from fakel.tensor.untyped_storage import UntypedStorage

_HEAP_TYPE = 1 << 9
_C_NAMES = {
    TypedStorage: "torch.storage.TypedStorage",
    UntypedStorage: "torch.storage.UntypedStorage",
    Generator: "torch._C.Generator",
    Layout: "torch.layout",
    MemoryFormat: "torch.memory_format",
    Size: "torch.Size",
    device: "torch.device",
    dtype: "torch.dtype",
}


def type_name(value: Any) -> str:
    """The name of a value's type, as C knows it: with its module, where it is written in C."""
    kind = type(value)
    if kind in _C_NAMES:
        return _C_NAMES[kind]
    if kind.__flags__ & _HEAP_TYPE or kind.__module__ == "builtins":
        return kind.__name__
    return f"{kind.__module__}.{kind.__name__}"


# what PyTorch's Python functions hand on, and to which function in C++, where errors come from
_HANDED_ON = {
    "cross_entropy": ("cross_entropy_loss", "input target weight"),
    "elu": ("elu", "input alpha"),
    "embedding": ("embedding", "weight input"),
    "hardswish": ("hardswish", "input"),
    "kl_div": ("kl_div", "input target"),
    "leaky_relu": ("leaky_relu", "input negative_slope"),
    "max_pool1d_with_indices": ("max_pool1d", "input kernel_size stride padding dilation"),
    "max_pool2d_with_indices": ("max_pool2d", "input kernel_size stride padding dilation"),
    "max_pool3d_with_indices": ("max_pool3d", "input kernel_size stride padding dilation"),
    "mish": ("mish", "input"),
    "nll_loss": ("nll_loss_nd", "input target weight"),
    "pad": ("pad", "input pad"),
    "relu6": ("relu6", "input"),
    "silu": ("silu", "input"),
    "unfold": ("im2col", "input kernel_size dilation padding stride"),
}


def by_signature(
    namespace: str, name: str, function: Callable[..., Any]
) -> Callable[..., Exception | None]:
    """What a function raises where a call of it failed: PyTorch's words if the arguments fit none
    of its signatures, else None, for the error that there was.

    Args:
        namespace: "torch", "Tensor", "linalg".
        name: the function's.
        function: the function.
    """
    skipped = namespace == "Tensor"
    inside = _HANDED_ON.get(name) if namespace == "nn.functional" else None

    def better(error: Exception, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if inside is None:
            return refusal(f"{namespace}.{name}", args[skipped:], kwargs)
        try:
            bound = inspect.signature(function).bind(*args, **kwargs)
        except TypeError:
            return None
        bound.apply_defaults()
        handed = [bound.arguments[each] for each in inside[1].split()]
        return refusal(f"inside.{inside[0]}", tuple(handed), {})

    return better


def explained(function: Callable[..., Any], namespace: str, name: str) -> Callable[..., Any]:
    """The function with PyTorch's words for a wrong call (see ``by_signature``)."""
    better = by_signature(namespace, name, function)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return autocast.call(function, args, kwargs)
        except Exception as error:
            found = better(error, args, kwargs)
            if found is None:
                raise
            raise found from None

    return call


def refusal(path: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Exception | None:
    """The error of a call whose arguments fit no signature; None where they fit one, or where
    the function has none.

    Args:
        path: "torch.add", "Tensor.add", "linalg.inv".
        args: the positional arguments, without the tensor whose method is called.
        kwargs: the keywords.
    """
    forms = signatures(path)
    if not forms:
        return None
    mismatches = []
    for form in forms:
        mismatch = _mismatch(form, args, kwargs)
        if mismatch is None:
            return None
        if mismatch.recognized or len(forms) == 1:
            return mismatch.error(mismatch.text)
        mismatches.append(mismatch)
    count = len(args) + len(kwargs)
    plausible = [
        mismatch
        for form, mismatch in zip(forms, mismatches, strict=True)
        if form.required <= count <= len(form.parameters) and not form.hidden
    ]
    if len(plausible) == 1:
        return TypeError(plausible[0].text)
    return TypeError(_no_combination(forms, args, kwargs))


class _Mismatch(NamedTuple):
    """Why a call does not fit a signature."""

    text: str
    error: type[Exception] = TypeError
    # the signature was recognized: the next ones are not tried
    recognized: bool = False


def _mismatch(form: Signature, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Mismatch | None:
    if form.takes_nothing:
        return _too_many(form, args, kwargs) if args or kwargs else None
    parameters = form.parameters
    if (
        form.positional == 1
        and parameters[0].is_shape
        and args
        and parameters[0].takes_one(args[0])
    ):
        args = (args,)  # view(2, 3)
    if len(args) > form.positional:
        return _too_many(form, args, kwargs)
    remaining = len(kwargs)
    read: list[tuple[Parameter, Any]] = []
    for position, parameter in enumerate(parameters):
        keyword = None if position < len(args) else parameter.given(kwargs)
        if position >= len(args) and keyword is None:
            if not parameter.optional:
                return _missing(form, parameters[position:])
            continue
        value = args[position] if keyword is None else kwargs[keyword]
        remaining -= keyword is not None
        if value is None and parameter.takes_none:
            continue
        wrong = parameter.wrong_element(value)
        if wrong is not None:
            text = f"expected Tensor as element {wrong} in argument {position}, but got "
            return _Mismatch(text + type_name(value[wrong]), recognized=True)
        refused = parameter.refuses(value)
        if refused:
            return _unfit(form, parameter, value, "" if keyword else position + 1, refused)
        read.append((parameter, value))
    if remaining:
        return _unknown_keyword(form, len(args), kwargs)
    return _unreadable(form, read)


def _unreadable(form: Signature, read: list[tuple[Parameter, Any]]) -> _Mismatch | None:
    """What is found when arguments that fit are read: ints that C++ cannot hold, and what is wrong
    behind the first element, by which sequences are recognized.
    """
    for parameter, value in read:
        if parameter.is_shape and isinstance(value, (tuple, list)):
            for place, each in enumerate(value):
                why = f'type must be {parameter.kind},but got {type_name(each)}"'
                if parameter.takes_one(each):
                    if not _too_large(each):
                        continue
                    why = "Overflow when unpacking long long"
                text = (
                    f"{form.name}(): argument '{parameter.name}' failed to unpack the object at "
                    f'pos {place + 1} with error "{why}'
                )
                return _Mismatch(text, recognized=True)
        elif _too_large(value) and parameter.kind in ("int", "tuple of ints"):
            return _Mismatch("Overflow when unpacking long long", ValueError, True)
        elif _too_large(value) and parameter.kind in ("Number", "Tensor"):
            return _Mismatch("int too big to convert", OverflowError, True)
    return None


def _too_large(value: Any) -> bool:
    return isinstance(value, int) and not -(1 << 63) <= value < 1 << 63


def _too_many(form: Signature, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Mismatch:
    count = len(args)
    if form.takes_nothing:
        given = "keyword arguments" if kwargs else f"arguments ({count} given)"
        return _Mismatch(f"{form.name}() takes no {given}")
    most, least = form.positional, form.required
    if least != most:
        takes = f"takes from {least} to {most} positional arguments"
        return _Mismatch(f"{form.name}() {takes} but {count} were given")
    plural, were = "" if most == 1 else "s", "was" if count == 1 else "were"
    return _Mismatch(
        f"{form.name}() takes {most} positional argument{plural} but {count} {were} given"
    )


def _missing(form: Signature, rest: list[Parameter]) -> _Mismatch:
    names = [f'"{each.name}"' for each in rest if not each.optional]
    plural = "s" if len(names) == 1 else ""  # so it is in PyTorch
    return _Mismatch(
        f"{form.name}() missing {len(names)} required positional argument{plural}: "
        f"{', '.join(names)}"
    )


def _unfit(
    form: Signature, parameter: Parameter, value: Any, position: int | str, refused: bool | int
) -> _Mismatch:
    where = f" (position {position})" if position else ""
    start = f"{form.name}(): argument '{parameter.name}'{where} must be {parameter.kind}, "
    if isinstance(refused, bool) or not position:
        return _Mismatch(f"{start}not {type_name(value)}")
    return _Mismatch(
        f"{start}but found element of type {type_name(value[refused])} at pos {int(refused)}"
    )


def _unknown_keyword(form: Signature, count: int, kwargs: dict[str, Any]) -> _Mismatch:
    names = [each.name for each in form.parameters]
    for name in kwargs:
        if name not in names:
            return _Mismatch(f"{form.name}() got an unexpected keyword argument '{name}'")
        if names.index(name) < count:
            return _Mismatch(f"{form.name}() got multiple values for argument '{name}'")
    return _Mismatch("invalid keyword arguments")


# ---------------------------------------------------------------- which signatures there are


def _no_combination(
    forms: tuple[Signature, ...], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> str:
    options = [str(form) for form in forms if not form.hidden]
    start = f"{forms[0].name}() received an invalid combination of arguments - "
    # C++ lists them from the last to the first
    keywords = dict(reversed(kwargs.items()))
    if len(options) == 1:
        expected = _Option(options[0])
        unknown = expected.unknown(keywords)
        if unknown:
            return f"{start}got unrecognized keyword arguments: {', '.join(unknown)}"
        fits = expected.counts(args, keywords)
        got = expected.marked(args, keywords) if fits else _listed(args, keywords)
        return f"{start}got {got}, but expected {options[0]}"
    text = f"{start}got {_listed(args, keywords)}, but expected one of:\n"
    for option in options:
        expected = _Option(option)
        text += f" * {option}\n"
        if expected.counts(args, keywords):
            unknown = expected.unknown(keywords)
            text += "      didn't match because some of the "
            if unknown:
                text += f"keywords were incorrect: {', '.join(unknown)}\n"
            else:
                text += f"arguments have invalid types: {expected.marked(args, keywords)}\n"
    return text


def _listed(args: tuple[Any, ...], keywords: dict[str, Any]) -> str:
    parts = [type_name(value) for value in args]
    parts += [f"{name}={type_name(value)}" for name, value in keywords.items()]
    return f"({', '.join(parts)}{'' if args or not keywords else ', '})"


class _Option:
    """A signature's text as PyTorch's messages read it: the word before a comma is the name, also
    where it is a default.
    """

    def __init__(self, text: str) -> None:
        self.parts = [part.rpartition(" ")[::2] for part in text[1:-1].split(", ")]

    def counts(self, args: tuple[Any, ...], keywords: dict[str, Any]) -> bool:
        return len(self.parts) == len(args) + len(keywords)

    def unknown(self, keywords: dict[str, Any]) -> list[str]:
        names = [name for _, name in self.parts[max(len(self.parts) - len(keywords), 0) :]]
        return [name for name in keywords if name not in names]

    def marked(self, args: tuple[Any, ...], keywords: dict[str, Any]) -> str:
        parts = []
        for index, (kind, name) in enumerate(self.parts):
            keyword = index >= len(args)
            value = keywords[name] if keyword else args[index]
            found = type_name(value)
            text = f"{name}=" if keyword else ""
            if isinstance(value, (tuple, list)):
                inside = ", ".join(type_name(each) for each in value)
                comma = "," if len(value) == 1 and isinstance(value, tuple) else ""
                around = "({})" if isinstance(value, tuple) else "[{}]"
                text += f"{found} of {around.format(inside + comma)}"
            else:
                text += found
            fits = found in (("float", "int") if kind == "float" else (kind,))
            parts.append(text if fits else f"!{text}!")
        return f"({', '.join(parts)}{'' if args or not keywords else ', '})"
