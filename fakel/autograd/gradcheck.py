"""Compares gradients with finite differences: ``gradcheck`` and ``gradgradcheck``."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fakel.autograd.backward import grad
from fakel.autograd.modes import enable_grad, no_grad
from fakel.tensor import Tensor, dtypes


class GradcheckError(RuntimeError):
    """Numerical and analytical gradients differ."""


def _tuple(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, (tuple, list)) else (value,)


def _differentiable(values: tuple[Any, ...]) -> list[Tensor]:
    return [
        value
        for value in values
        if isinstance(value, Tensor)
        and (value.is_floating_point() or value.is_complex())
        and value.requires_grad
    ]


def _numerical(
    function: Callable[..., Any], inputs: tuple[Any, ...], source: Tensor, output: int, eps: float
) -> np.ndarray:
    """The Jacobian of one output with respect to one input by central differences; a complex number
    counts as its real and imaginary part. Rows are elements of the input.
    """
    memory = source._alias().numpy().reshape(-1) if source._strides is None else None
    if memory is None:
        raise ValueError("gradcheck expects contiguous inputs")
    rows = []
    directions = (eps, eps * 1j) if np.iscomplexobj(memory) else (eps,)
    for position in range(memory.size):
        kept = memory[position]
        row = []
        for step in directions:
            values = []
            for sign in (1, -1):
                memory[position] = kept + sign * step
                with no_grad():
                    results = _outputs(function(*inputs))
                values.append(results[output].numpy(force=True).reshape(-1).copy())
            memory[position] = kept
            row.append((values[0] - values[1]) / (2 * eps))
        rows.append(row[0] if len(row) == 1 else np.stack(row))
    return np.array(rows)


def _outputs(results: Any) -> list[Tensor]:
    return [
        result
        for result in _tuple(results)
        if isinstance(result, Tensor) and (result.is_floating_point() or result.is_complex())
    ]


def _analytical(output: Tensor, source: Tensor) -> np.ndarray:
    """The same Jacobian from backward passes, one for each element of the output."""
    columns = []
    count = output.numel()
    complex_output, complex_input = output.is_complex(), source.is_complex()
    for position in range(count):
        for unit in (1, 1j) if complex_output else (1,):
            seed = np.zeros(count, output.dtype.storage)
            seed[position] = unit
            grad_output = Tensor._from_array(seed.reshape(tuple(output._shape)))
            (found,) = grad(output, source, grad_output, retain_graph=True, allow_unused=True)
            array = (
                np.zeros(source.numel(), source.dtype.storage)
                if found is None
                else found._values().reshape(-1).copy()
            )
            columns.append(array)
    stacked = np.array(columns).reshape(-1, source.numel()).T
    if not complex_output:
        # d out / d re = re(grad), d out / d im = im(grad)
        return np.stack([stacked.real, stacked.imag], 1) if complex_input else stacked
    real, imaginary = stacked[:, 0::2], stacked[:, 1::2]
    # grads for re(out) and im(out)
    if complex_input:
        return np.stack([real.real + 1j * imaginary.real, real.imag + 1j * imaginary.imag], 1)
    return real + 1j * imaginary


def gradcheck(
    func: Callable[..., Any],
    inputs: Any,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_forward_ad: bool = False,
    check_backward_ad: bool = True,
    fast_mode: bool = False,
    masked: bool | None = None,
) -> bool:
    """Whether the gradients of ``func`` agree with central differences.

    Args:
        func: takes tensors, returns a tensor or several.
        inputs: its arguments, in float64 for any precision.
        eps: the step of the differences.
        atol, rtol: how far the two may be apart.
        raise_exception: raise instead of returning False.
        nondet_tol: how far two backward passes may be apart.

    Raises:
        GradcheckError: when they differ.
        NotImplementedError: for forward-mode differentiation, which fakel does not have.
    """
    if check_forward_ad or not check_backward_ad or check_batched_grad:
        raise NotImplementedError("gradcheck of fakel checks backward-mode gradients only")
    arguments = _tuple(inputs)
    sources = _differentiable(arguments)
    if not sources:
        raise ValueError(
            "gradcheck expects at least one input tensor to require gradient, but none of "
            "them have "
            "requires_grad=True."
        )
    for number, source in enumerate(arguments):
        if isinstance(source, Tensor) and source.requires_grad:
            if source.dtype not in (dtypes.float64, dtypes.complex128):
                warnings.warn(
                    f"Input #{number} requires gradient and is not a double precision floating "
                    "point or complex. This check will likely fail if all the inputs are not of "
                    "double precision floating point or complex. ",
                    stacklevel=2,
                )
    try:
        with enable_grad():
            results = _outputs(func(*arguments))
        if not any(output.requires_grad for output in results):
            for index in range(len(results)):
                for source in sources:
                    if _numerical(func, arguments, source, index, eps).any():
                        raise GradcheckError("Numerical gradient for function expected to be zero")
        for index, output in enumerate(results):
            if not output.requires_grad:
                continue
            for number, source in enumerate(sources):
                if check_grad_dtypes and source.dtype is not output.dtype:
                    raise GradcheckError("Expected grad of the input's dtype")
                found = _analytical(output, source)
                again = _analytical(output, source)
                if not np.allclose(found, again, rtol=0, atol=nondet_tol, equal_nan=True):
                    raise GradcheckError(
                        "Backward is not reentrant, i.e., running backward with same input and "
                        "grad_output multiple times gives different values, although analytical "
                        "gradient "
                        "matches numerical gradient.The tolerance for nondeterminism was "
                        f"{nondet_tol}."
                    )
                expected = _numerical(func, arguments, source, index, eps)
                if not np.allclose(found, expected, rtol=rtol, atol=atol, equal_nan=True):
                    raise GradcheckError(
                        f"Jacobian mismatch for output {index} with respect to input {number},\n"
                        f"numerical:{Tensor._from_array(expected)}\nanalytical:{Tensor._from_array(found)}\n"
                    )
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Any,
    grad_outputs: Sequence[Tensor] | None = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
) -> bool:
    """Whether the second derivatives of ``func`` agree with central differences of its gradients.

    Arguments as for ``gradcheck``; ``grad_outputs`` are random when left out.
    """
    arguments = _tuple(inputs)
    with enable_grad():
        outputs = [output for output in _outputs(func(*arguments)) if output.requires_grad]
    if grad_outputs is None:
        random = np.random.default_rng(0)
        seeds = []
        for output in outputs:
            array = random.standard_normal(tuple(output._shape))
            if output.is_complex():
                array = array + 1j * random.standard_normal(tuple(output._shape))
            seed = Tensor._from_array(np.asarray(array, output.dtype.storage))
            seed.requires_grad = output.dtype is not dtypes.bool_
            seeds.append(seed)
    else:
        seeds = list(_tuple(grad_outputs))
    count = len(arguments)

    def gradients(*everything: Any) -> tuple[Tensor, ...]:
        given, tops = everything[:count], everything[count:]
        with enable_grad():
            results = [output for output in _outputs(func(*given)) if output.requires_grad]
            found = grad(
                results, _differentiable(given), list(tops), create_graph=True, allow_unused=True
            )
        return tuple(each for each in found if each is not None)

    return gradcheck(
        gradients,
        (*arguments, *seeds),
        eps=eps,
        atol=atol,
        rtol=rtol,
        raise_exception=raise_exception,
        nondet_tol=nondet_tol,
    )
