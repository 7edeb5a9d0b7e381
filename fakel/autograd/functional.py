"""Derivatives of functions as a whole: Jacobians, Hessians and their products with vectors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fakel.autograd.backward import grad
from fakel.autograd.modes import enable_grad
from fakel.tensor import Tensor

Function = Callable[..., Any]


def _tensors(value: Any, name: str, where: str = "") -> tuple[bool, tuple[Tensor, ...]]:
    """Whether several were given, and the tensors.

    Args:
        value: a tensor, or several.
        name: what they are, for messages.
        where: to what they were given, for messages.
    """
    several = isinstance(value, (tuple, list))
    listed = tuple(value) if several else (value,)
    for position, each in enumerate(listed):
        if not isinstance(each, Tensor):
            kind = type(each)
            if several:
                raise TypeError(
                    f"The {name}{where} must be either a Tensor or a tuple of Tensors but the "
                    f"value at index {position} has type {kind}."
                )
            raise TypeError(
                f"The {name}{where} must be either a Tensor or a tuple of Tensors but the given "
                f"{name} has type {kind}."
            )
    return several, listed


def _prepared(inputs: tuple[Tensor, ...], create_graph: bool) -> tuple[Tensor, ...]:
    """The inputs as tensors of this call's own that require gradients."""
    return tuple(
        x.view_as(x)  # type: ignore[attr-defined]
        if create_graph and x.requires_grad
        else x.detach().requires_grad_()  # type: ignore[attr-defined]
        for x in inputs
    )


def _outputs(
    func: Function, inputs: tuple[Tensor, ...], name: str
) -> tuple[bool, tuple[Tensor, ...]]:
    return _tensors(func(*inputs), "outputs of the user-provided function", f" given to {name}")


def _gradients(
    outputs: tuple[Tensor, ...],
    inputs: tuple[Tensor, ...],
    seeds: tuple[Tensor | None, ...] | None,
    create_graph: bool,
) -> tuple[Tensor, ...]:
    """Gradients with zeros for what does not depend."""
    pairs = [
        (out, None if seeds is None else seed)
        for out, seed in zip(outputs, seeds or (None,) * len(outputs), strict=True)
        if out.requires_grad
    ]
    if not pairs:
        return tuple(Tensor._zeros(x.shape, x.dtype) for x in inputs)  # type: ignore[attr-defined]
    found = grad(
        [out for out, _ in pairs],
        inputs,
        [seed for _, seed in pairs],
        retain_graph=True,
        create_graph=create_graph,
        allow_unused=True,
    )
    return tuple(
        Tensor._zeros(x.shape, x.dtype) if g is None else g  # type: ignore[attr-defined]
        for g, x in zip(found, inputs, strict=True)
    )


def _seeds(v: Any, like: tuple[Tensor, ...], several: bool, name: str) -> tuple[Tensor, ...]:
    if v is None:
        if len(like) != 1 or like[0].numel() != 1:
            subject = "the input to the user-provided function is"
            if name == "result":
                subject = "the user-provided function returns"
            raise RuntimeError(
                f"The vector v can only be None if {subject} a single Tensor with a single element."
            )
        return tuple(Tensor._ones(x.shape, x.dtype) for x in like)  # type: ignore[attr-defined]
    _, given = _tensors(v, "v")
    for position, (one, other) in enumerate(zip(given, like, strict=True)):
        if one.shape != other.shape:
            place = f"Entry {position} in v" if several else "v"
            raise RuntimeError(
                f"{place} has invalid size: should be {other.shape} but got {one.shape}."
            )
    return given


def _packed(values: tuple[Tensor, ...], several: bool, create_graph: bool) -> Any:
    kept = values if create_graph else tuple(value.detach() for value in values)  # type: ignore[attr-defined]
    return kept if several else kept[0]


def vjp(
    func: Function, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """The function's result and the product of a vector ``v`` with its Jacobian.

    Args:
        func: takes tensors, returns a tensor or several.
        v: shaped like the result; may be left out when that is one number.
        create_graph: make the product differentiable.
        strict: refuse outputs that do not depend on the inputs.
    """
    several_in, listed = _tensors(inputs, "inputs", " given to vjp")
    with enable_grad():
        mine = _prepared(listed, create_graph)
        several_out, outputs = _outputs(func, mine, "vjp")
        _check_strict(outputs, strict)
        seeds = _seeds(v, outputs, several_out, "result")
        found = _gradients(outputs, mine, seeds, create_graph)
    return _packed(outputs, several_out, create_graph), _packed(found, several_in, create_graph)


def jvp(
    func: Function, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """The function's result and the product of its Jacobian with a vector ``v``, by going backward
    twice.

    Args:
        func: takes tensors, returns a tensor or several.
        v: shaped like the inputs; may be left out when that is one number.
        create_graph: make the product differentiable.
        strict: refuse outputs that do not depend on the inputs.
    """
    _, listed = _tensors(inputs, "inputs", " given to jvp")
    with enable_grad():
        mine = _prepared(listed, create_graph)
        vectors = _seeds(v, listed, len(listed) > 1, "input")
        several_out, outputs = _outputs(func, mine, "jvp")
        _check_strict(outputs, strict)
        seeds = tuple(Tensor._zeros(o.shape, o.dtype).requires_grad_() for o in outputs)  # type: ignore[attr-defined]
        first = _gradients(outputs, mine, seeds, True)
        found = _gradients(first, seeds, vectors, create_graph)
    return _packed(outputs, several_out, create_graph), _packed(found, several_out, create_graph)


def _check_strict(outputs: tuple[Tensor, ...], strict: bool) -> None:
    if strict:
        for position, output in enumerate(outputs):
            if not output.requires_grad:
                raise RuntimeError(
                    f"Output {position} of the user-provided function does not require gradients. "
                    "The "
                    "outputs must be computed in a differentiable manner from the input when "
                    "running in "
                    "strict mode."
                )


def jacobian(
    func: Function,
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """The derivative of every element of the result with respect to every element of the inputs.

    Args:
        func: takes tensors, returns a tensor or several.
        create_graph: make the Jacobian differentiable.
        strict: refuse outputs that do not depend on the inputs.
        vectorize: a hint for speed in PyTorch; the values are the same.
        strategy: "reverse-mode".

    Returns:
        of shape ``output.shape + input.shape``, nested in tuples as outputs and inputs are.

    Raises:
        NotImplementedError: for forward mode.
    """
    if strategy != "reverse-mode":
        raise NotImplementedError("fakel differentiates in reverse mode only")
    several_in, listed = _tensors(inputs, "inputs", " given to jacobian")
    with enable_grad():
        mine = _prepared(listed, create_graph)
        several_out, outputs = _outputs(func, mine, "jacobian")
        _check_strict(outputs, strict)
        rows = tuple(_rows(output, mine, create_graph) for output in outputs)
    packed = tuple(_packed(row, several_in, create_graph) for row in rows)
    return packed if several_out else packed[0]


def _rows(output: Tensor, inputs: tuple[Tensor, ...], create_graph: bool) -> tuple[Tensor, ...]:
    """The Jacobian of one output with respect to each input."""
    flat = output.reshape(-1)  # type: ignore[attr-defined]
    columns = [_gradients((flat[i],), inputs, None, create_graph) for i in range(flat.numel())]
    stack = Tensor._stack  # type: ignore[attr-defined]
    return tuple(
        stack(list(column)).reshape((*output.shape, *x.shape))
        if columns
        else Tensor._zeros((*output.shape, *x.shape), x.dtype)  # type: ignore[attr-defined]
        for column, x in zip(
            zip(*columns, strict=True) if columns else (() for _ in inputs), inputs, strict=True
        )
    )


def hessian(
    func: Function,
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:
    """The second derivatives of a function with one number as its result.

    Args:
        func: takes tensors, returns a tensor of one element.
        create_graph: make the Hessian differentiable.
        strict: refuse a result that does not depend on the inputs.
        vectorize: a hint for speed in PyTorch; the values are the same.
        outer_jacobian_strategy: "reverse-mode".
    """
    several_in, listed = _tensors(inputs, "inputs", " given to hessian")

    def gradient(*given: Tensor) -> tuple[Tensor, ...]:
        result = _scalar(func, given, "hessian")
        _check_strict((result,), strict)
        return _gradients((result,), given, None, True)

    found = jacobian(gradient, listed, create_graph, False, vectorize, outer_jacobian_strategy)
    return found if several_in else found[0][0]


def _scalar(func: Function, inputs: tuple[Tensor, ...], name: str) -> Tensor:
    several, outputs = _outputs(func, inputs, name)
    if several or outputs[0].numel() != 1:
        raise RuntimeError(
            f"The function given to {name} should return a single Tensor"
            if several
            else (
                f"The Tensor returned by the function given to {name} should contain a single "
                "element"
            )
        )
    return outputs[0].reshape(())  # type: ignore[attr-defined, no-any-return]


def vhp(
    func: Function, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """The function's result and the product of a vector ``v`` with its Hessian."""
    several_in, listed = _tensors(inputs, "inputs", " given to vhp")
    with enable_grad():
        mine = _prepared(listed, create_graph)
        vectors = _seeds(v, listed, several_in, "input")
        result = _scalar(func, mine, "vhp")
        _check_strict((result,), strict)
        first = _gradients((result,), mine, None, True)
        found = _gradients(first, mine, vectors, create_graph)
    return _packed((result,), False, create_graph), _packed(found, several_in, create_graph)


def hvp(
    func: Function, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """The function's result and the product of its Hessian with a vector ``v``; as the Hessian is
    symmetric, the same as ``vhp``.
    """
    return vhp(func, inputs, v, create_graph, strict)
