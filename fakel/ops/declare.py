"""How operators are declared: public functions, tensor methods, in-place and ``out=`` forms.

``FUNCTIONS`` collects what ``fakel`` exports, by namespace.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fakel.autograd.tape import retitled
from fakel.graph import leaf, watching
from fakel.interpreter import narrow
from fakel.ops.inplace import write_in_place, write_out
from fakel.ops.primitive import Primitive, Rule, gradient, not_differentiable, primitive
from fakel.ops.refusals import by_signature, explained
from fakel.recall.calls import recalled
from fakel.tensor import Tensor, dtypes, get_default_dtype, result_type
from fakel.tensor.promotion import number_dtype

# namespace ("" for torch itself) -> name -> function
FUNCTIONS: dict[str, dict[str, Callable[..., Any]]] = {"": {}}
# every name an operator has an in-place form for
IN_PLACE: set[str] = set()


def _export(names: Sequence[str], function: Callable[..., Any], namespace: str) -> None:
    table = FUNCTIONS.setdefault(namespace, {})
    for name in names:
        table[name] = function


def operator(
    *,
    method: bool = True,
    inplace: bool = False,
    out: bool = True,
    namespace: str | None = "",
    aliases: Sequence[str] = (),
    numbers: bool = False,
    backward_name: str | None = None,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Declares a public operator.

    Args:
        method: also a tensor method of the same name (the first argument is the tensor).
        inplace: also an in-place method, the name with an underscore.
        out: takes ``out=``.
        namespace: where it is exported: "" for torch, "nn.functional", "special", "linalg", "fft";
            None for nowhere (method only).
        aliases: other names of the same.
        numbers: Python floats are operands at run time: no decision depends on their value, unless
            it is 0, 1, -1 or 2.
        backward_name: what ``grad_fn`` shows where the operator is made of others.
    """

    def declare(function: Callable[..., Any]) -> Callable[..., Any]:
        if backward_name is not None:
            function = _titling(function, backward_name)
        names = (function.__name__, *aliases)
        whole = _with_out(function) if out else function
        public = None
        for name in reversed(names):
            if namespace is not None:
                public = recalled(
                    whole, numbers, refusal=by_signature(namespace or "torch", name, whole)
                )
                _export((name,), public, namespace)
            if method:
                bound = recalled(whole, numbers, refusal=by_signature("Tensor", name, whole))
                setattr(Tensor, name, bound)
            if inplace:
                written = _in_place_form(function, name)
                own = by_signature("Tensor", written.__name__, written)
                setattr(Tensor, written.__name__, recalled(written, numbers, refusal=own))
                IN_PLACE.add(name)
        return bound if public is None else public

    return declare


def function(
    declared: Callable[..., Any] | None = None, *, namespace: str = "", aliases: Sequence[str] = ()
) -> Any:
    """Declares a public function that is no tensor method and has no ``out=`` of its own making."""

    def declare(declared: Callable[..., Any]) -> Callable[..., Any]:
        for name in (declared.__name__, *aliases):
            _export((name,), explained(declared, namespace or "torch", name), namespace)
        return declared

    return declare if declared is None else declare(declared)


def method(
    declared: Callable[..., Any] | None = None,
    *,
    aliases: Sequence[str] = (),
    recall: bool = False,
) -> Any:
    """Declares a tensor method that is no function of torch.

    Args:
        aliases: other names of the same.
        recall: it is worth recalling: it records, or makes a view.
    """

    def declare(declared: Callable[..., Any]) -> Callable[..., Any]:
        public = declared
        for name in reversed((declared.__name__, *aliases)):
            if recall:
                public = recalled(declared, refusal=by_signature("Tensor", name, declared))
            else:
                public = explained(declared, "Tensor", name)
            setattr(Tensor, name, public)
        return public

    return declare if declared is None else declare(declared)


def _titling(function: Callable[..., Any], title: str) -> Callable[..., Any]:
    @functools.wraps(function)
    def titling(*args: Any, **kwargs: Any) -> Any:
        return retitled(function(*args, **kwargs), title, args)

    return titling


def _with_out(function: Callable[..., Any]) -> Callable[..., Any]:
    name = function.__name__

    @functools.wraps(function)
    def wrapper(*args: Any, out: Any = None, **kwargs: Any) -> Any:
        if out is None:
            return function(*args, **kwargs)
        return write_out(name, function, args, kwargs, out)

    signature = inspect.signature(function)
    parameters = list(signature.parameters.values())
    extra = inspect.Parameter("out", inspect.Parameter.KEYWORD_ONLY, default=None)
    last = len(parameters) - (
        bool(parameters) and parameters[-1].kind is inspect.Parameter.VAR_KEYWORD
    )
    wrapper.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[*parameters[:last], extra, *parameters[last:]]
    )
    return wrapper


def _in_place_form(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    def in_place(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return write_in_place(name + "_", self, function, args, kwargs)

    in_place.__name__ = in_place.__qualname__ = name + "_"
    in_place.__doc__ = f"In-place form of ``{name}``."
    return in_place


# -------------------------------------------------------------------- pointwise families


def unary(
    name: str,
    meaning: Callable[..., Any],
    dtype: str = "same",
    *,
    aliases: Sequence[str] = (),
    method: bool = True,
    inplace: bool = True,
    namespace: str = "",
    refuses: Sequence[str] = (),
    kernel: str = "",
    documentation: str = "",
    backward_name: str | None = None,
) -> Callable[..., Any]:
    """Declares a pointwise operator of one tensor.

    Args:
        meaning: a NumPy function of one array.
        dtype: of the result: "same", "float" (integers give the default dtype), "bool", "real" (of
            a complex tensor, its parts' dtype).
        refuses: kinds of input that are errors: "bool", "complex", "float", "half" (of two bytes).
        kernel: what the error calls the operator.
        documentation: the formula.
    """
    node = Primitive(name, _taking_input(meaning), backward_name)
    rule = _RESULT[dtype]

    def declared(input: Tensor) -> Tensor:
        if not isinstance(input, Tensor):
            raise TypeError(
                f"{name}(): argument 'input' (position 1) must be Tensor, not "
                f"{type(input).__name__}"
            )
        kind = input._storage.dtype
        if refuses:
            _refuse(kernel or f"{name}_cpu", kind, refuses)
        if dtype == "float" and not (kind.is_floating_point or kind.is_complex):
            input = input.to(get_default_dtype())  # type: ignore[attr-defined]
            kind = input._storage.dtype
        return node(input, dtype=rule(kind))  # type: ignore[no-any-return]

    _describe(declared, name, documentation or f"{name} of each element.")
    public = operator(method=method, inplace=inplace, aliases=aliases, namespace=namespace)(
        declared
    )
    public.primitive = node  # type: ignore[attr-defined]
    return public


def _taking_input(meaning: Callable[..., Any]) -> Callable[..., Any]:
    return lambda input: meaning(input)


def _refuse(kernel: str, kind: Any, refuses: Sequence[str]) -> None:
    if "bool" in refuses and kind is dtypes.bool_:
        raise NotImplementedError(f"\"{kernel}\" not implemented for 'Bool'")
    if "complex" in refuses and kind.is_complex:
        raise NotImplementedError(f"\"{kernel}\" not implemented for '{kind.letter}'")
    if "half" in refuses and kind.is_floating_point and kind.itemsize == 2:
        raise NotImplementedError(f"\"{kernel}\" not implemented for '{kind.letter}'")
    if "float" in refuses and (kind.is_floating_point or kind.is_complex):
        raise NotImplementedError(f"\"{kernel}\" not implemented for '{kind.letter}'")


_RESULT: dict[str, Callable[[Any], Any]] = {
    "same": lambda kind: kind,
    "float": lambda kind: kind,
    "bool": lambda kind: dtypes.bool_,
    "real": lambda kind: kind.to_real(),
}


def binary(
    name: str,
    meaning: Callable[..., Any],
    dtype: str = "same",
    *,
    aliases: Sequence[str] = (),
    method: bool = True,
    inplace: bool = True,
    namespace: str = "",
    refuses: Sequence[str] = (),
    kernel: str = "",
    documentation: str = "",
    backward_name: str | None = None,
) -> Callable[..., Any]:
    """Declares a pointwise operator of two operands that promotes dtypes and broadcasts.

    Either operand may be a Python number. Arguments as for ``unary``; the meaning gets both
    operands in the promoted dtype, and its parameters are called ``input`` and ``other``.
    """
    node = Primitive(name, _taking_pair(meaning), backward_name)
    rule = _RESULT[dtype]

    def declared(input: Any, other: Any) -> Tensor:
        first, second = operands(name, input, other, floating=dtype == "float")
        if refuses:
            _refuse(kernel or f"{name}_cpu", first._storage.dtype, refuses)
        shape = (
            first._shape
            if first._shape == second._shape
            else broadcast_shapes(first._shape, second._shape)
        )
        return node(first, second, shape=shape, dtype=rule(first._storage.dtype))  # type: ignore[no-any-return]

    _describe(
        declared, name, documentation or f"{name} of each pair of elements; operands broadcast."
    )
    public = operator(
        method=method, inplace=inplace, aliases=aliases, namespace=namespace, numbers=True
    )(declared)
    public.primitive = node  # type: ignore[attr-defined]
    return public


def _taking_pair(meaning: Callable[..., Any]) -> Callable[..., Any]:
    return lambda input, other: meaning(input, other)


def _describe(declared: Callable[..., Any], name: str, documentation: str) -> None:
    declared.__name__ = declared.__qualname__ = name
    declared.__doc__ = documentation


# -------------------------------------------------------------------- helpers


_REAL = (float, int)


def operands(name: str, first: Any, second: Any, floating: bool = False) -> tuple[Tensor, Tensor]:
    """Two operands, tensors or Python numbers, as tensors of their promoted dtype.

    Args:
        name: the operator, for the error message.
        floating: integers are promoted to the default dtype.
    """
    one, two = isinstance(first, Tensor), isinstance(second, Tensor)
    if one and two and first._storage.dtype is second._storage.dtype:
        kind = first._storage.dtype
        if not floating or kind.is_floating_point or kind.is_complex:
            return first, second
    elif one and type(second) in _REAL and first._storage.dtype.is_floating_point:
        return first, scalar(second, first._storage.dtype)
    elif two and type(first) in _REAL and second._storage.dtype.is_floating_point:
        return scalar(first, second._storage.dtype), second
    else:
        for position, (operand, argument) in enumerate(((first, "input"), (second, "other"))):
            if not isinstance(operand, (Tensor, bool, int, float, complex, np.generic)):
                raise TypeError(
                    f"{name}(): argument '{argument}' (position {position + 1}) must be Tensor, "
                    "not "
                    f"{type(operand).__name__}"
                )
        first, second = _python(first), _python(second)
        kind = result_type(first, second)
    if floating and not (kind.is_floating_point or kind.is_complex):
        kind = get_default_dtype()
    return as_tensor(first, kind), as_tensor(second, kind)


def _python(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def as_tensor(value: Any, like: Any) -> Tensor:
    """A tensor or Python number as a tensor of a dtype.

    Args:
        like: a dtype, or a tensor whose dtype to take.
    """
    kind = like._storage.dtype if isinstance(like, Tensor) else like
    if isinstance(value, Tensor):
        return value if value._storage.dtype is kind else value.to(kind)  # type: ignore[attr-defined, no-any-return]
    return scalar(value, kind)


def scalar(number: Any, kind: Any) -> Tensor:
    """A Python number as a zero-dimensional leaf: a run-time argument of the program."""
    # zero is left out because equal keys must mean equal arrays, and -0.0 == 0.0
    if watching.capture is not None:
        return Tensor._from_node(watching.capture.number(number, kind, _array_of_number))
    node = leaf(_array_of_number(number, kind), kind)
    return Tensor._from_node(node)


def _array_of_number(number: Any, kind: Any) -> np.ndarray:
    make = _known_number_array if type(number) is float and number else _number_array
    return make(number, kind)


def _number_array(number: Any, kind: Any) -> np.ndarray:
    try:
        return _stored(number, kind)
    except (TypeError, ValueError, OverflowError):
        if not isinstance(number, (int, float, complex)):
            raise
        name = kind.c_name if kind.is_floating_point else f"{kind.name}_t"
        raise RuntimeError(f"value cannot be converted to type {name} without overflow") from None


def _stored(number: Any, kind: Any) -> np.ndarray:
    if number is None:  # NumPy takes it for NaN
        raise TypeError("must be Number, not NoneType")
    if kind.storage != kind.compute:
        return narrow(np.array(number, kind.compute), kind)
    if type(number) is int and not kind.is_floating_point and not kind.is_complex:
        return np.array(number).astype(kind.storage)
    return np.array(number, kind.storage)


# Several nodes may share an array: before one is written, its references are counted, and the
# cache holds one.
_known_number_array = functools.lru_cache(maxsize=256)(_number_array)


def wrap_dim(dim: Any, ndim: int) -> int:
    """A dimension counted from the front.

    Raises:
        IndexError: when it is out of range.
    """
    if type(dim) is not int:
        if isinstance(dim, (bool, float)) or not hasattr(dim, "__index__"):
            raise TypeError(f"'{type(dim).__name__}' object cannot be interpreted as an integer")
        dim = int(dim)
    limit = ndim or 1
    if -limit <= dim < limit:
        return dim % limit
    raise IndexError(
        f"Dimension out of range (expected to be in range of [{-limit}, {limit - 1}], but got "
        f"{dim})"
    )


def wrap_dims(dims: Any, ndim: int) -> tuple[int, ...]:
    """Several different dimensions counted from the front; all of them for None or ().

    Raises:
        IndexError: when one is out of range.
        RuntimeError: when one appears twice.
    """
    if dims is None:
        return tuple(range(ndim))
    if not isinstance(dims, (tuple, list)):
        return (wrap_dim(dims, ndim),) if ndim else (wrap_dim(dims, ndim),)[:0]
    if not dims:
        return tuple(range(ndim))
    wrapped = tuple(wrap_dim(dim, ndim) for dim in dims)
    for dim in wrapped:
        if wrapped.count(dim) > 1:
            raise RuntimeError(f"dim {dim} appears multiple times in the list of dims")
    return wrapped if ndim else ()


def broadcast_shapes(*shapes: Any) -> tuple[int, ...]:
    """The shape that shapes broadcast to.

    Raises:
        RuntimeError: when they do not fit.
    """
    ndim = max((len(shape) for shape in shapes), default=0)
    result = [1] * ndim
    for shape in shapes:
        for dim in range(1, len(shape) + 1):
            size, known = shape[-dim], result[-dim]
            if size == known or size == 1:
                continue
            if known != 1:
                raise RuntimeError(
                    f"The size of tensor a ({known}) must match the size of tensor b ({size}) at "
                    f"non-singleton dimension {ndim - dim}"
                )
            result[-dim] = size
    return tuple(result)


__all__ = [
    "FUNCTIONS",
    "IN_PLACE",
    "Primitive",
    "Rule",
    "as_tensor",
    "binary",
    "broadcast_shapes",
    "function",
    "gradient",
    "method",
    "not_differentiable",
    "number_dtype",
    "operands",
    "operator",
    "primitive",
    "scalar",
    "unary",
    "wrap_dim",
    "wrap_dims",
]
