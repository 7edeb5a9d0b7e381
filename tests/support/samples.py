"""PyTorch's own operator samples (`op_db`), carried over to the package under test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from tests.support.compare import flat, is_tensor, to_array
from tests.support.package import package

SEED = 42  # what op_db's wrappers of random operators set
# op_db hands these operators' arguments over in another order than the public function takes them
ORDER: dict[str, Callable[..., Any]] = {
    "einsum": lambda f: lambda x, equation, **kw: f(equation, *x),
    "where": lambda f: lambda x, condition, other, **kw: f(condition, x, other, **kw),
    "polygamma": lambda f: lambda x, n, **kw: f(n, x, **kw),
    "special.polygamma": lambda f: lambda x, n, **kw: f(n, x, **kw),
    "nn.functional.embedding": lambda f: lambda weight, index, **kw: f(index, weight, **kw),
    "zero_": lambda f: lambda x, **kw: f(x.clone(), **kw),
    "normal number_mean": lambda f: lambda std, mean, *rest, **kw: f(mean, std, *rest, **kw),
}
IN_PLACE = ("cauchy", "exponential", "geometric", "log_normal", "uniform")


def title(info: Any) -> str:
    """The name of an entry of op_db, with its variant."""
    return f"{info.name} {info.variant_test_name}".strip()


def function_of(info: Any) -> Callable[..., Any]:
    """The package's callable for an entry of op_db: a function by its path, or a method.

    Raises:
        NotImplementedError: when the package has none.
    """
    name = info.name
    if name in IN_PLACE or info.variant_test_name == "in_place":
        return method(name + "_")
    target = package
    for part in name.split("."):
        target = getattr(target, part, None)
    if not callable(target) or name.startswith("__"):
        if not hasattr(package.Tensor, name):
            raise NotImplementedError(name)
        target = method(name)
    return ORDER.get(title(info), ORDER.get(name, lambda f: f))(target)


def method(name: str) -> Callable[..., Any]:
    """A method, or attribute, of the first argument."""

    def call(first, *rest, **named):
        attribute = getattr(first, name)
        return attribute(*rest, **named) if callable(attribute) else attribute

    return call


def each(value: Any, change: Callable[[Any], Any]) -> Any:
    """Arguments with every value that is no container changed."""
    if type(value) in (list, tuple):
        return type(value)(each(part, change) for part in value)
    if isinstance(value, dict):
        return {key: each(part, change) for key, part in value.items()}
    if isinstance(value, slice):
        return slice(*each([value.start, value.stop, value.step], change))
    return change(value)


def carried(value: Any) -> Any:
    """PyTorch's arguments as the package's: tensors by value, one for one; names by name."""
    made: dict[int, Any] = {}

    def carry(part):
        if isinstance(part, torch.Tensor):
            if id(part) not in made:
                array = part.detach().resolve_conj().resolve_neg()
                half = array.dtype == torch.bfloat16
                tensor = package.from_numpy((array.float() if half else array).numpy().copy())
                tensor = tensor.bfloat16() if half else tensor
                made[id(part)] = tensor.requires_grad_() if part.requires_grad else tensor
            return made[id(part)]
        if isinstance(part, (torch.dtype, torch.layout, torch.memory_format)):
            return getattr(package, str(part).removeprefix("torch."))
        if isinstance(part, torch.device):
            return package.device(str(part))
        return tuple(part) if isinstance(part, torch.Size) else part

    return each(value, carry)


def samples(info: Any, dtype: Any, gradients: bool = False) -> Iterator[tuple[tuple, dict]]:
    """Positional and keyword arguments of an operator's samples, the same at every call."""
    np.random.seed(0)
    torch.manual_seed(0)
    for sample in info.sample_inputs("cpu", dtype, requires_grad=gradients):
        yield (sample.input, *sample.args), sample.kwargs


def outcome(module: Any, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """What a call answers, or the exception that it, or looking at its answer, raises."""
    module.manual_seed(SEED)
    try:
        answer = function(*args, **kwargs)
        for part in flat(answer):
            if is_tensor(part) and part.dtype not in (torch.complex32,):
                to_array(part)
        return answer
    except Exception as error:
        return error


def leaves(value: Any) -> list[Any]:
    """The tensors that require a gradient, each once."""
    found: dict[int, Any] = {}
    each(value, lambda part: found.setdefault(id(part), part))
    return [part for part in found.values() if getattr(part, "requires_grad", False)]


def weighted(module: Any, parts: list[Any]) -> Any:
    """A number made of all elements of tensors, each with a weight of its own; None of none."""
    total = None
    for place, part in enumerate(parts):
        if not (is_tensor(part) and part.requires_grad):
            continue
        real = module.view_as_real(part.resolve_conj()).sum(-1) if part.is_complex() else part
        weights = np.cos(np.arange(real.numel()) + place).reshape(tuple(real.shape))
        summand = (real * module.from_numpy(np.asarray(weights)).to(real.dtype)).sum()
        total = summand if total is None else total + summand
    return total


def derivatives(module: Any, answer: Any, inputs: list[Any], order: int) -> list[list[Any]]:
    """The gradients by the inputs, and of those again, up to an order; None for no gradient."""
    parts, found = flat(answer), []
    for remaining in reversed(range(order)):
        total = weighted(module, parts)
        if total is None:
            parts = [None] * len(inputs)
        else:
            parts = list(
                module.autograd.grad(total, inputs, create_graph=bool(remaining), allow_unused=True)
            )
        found.append(parts)
    return found
