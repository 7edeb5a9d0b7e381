"""Gradients of composite functions, for the higher derivatives of coarse nodes.

A coarse node such as batch normalisation has a gradient node of its own. The derivative of that
gradient node is rarely asked for, so it is written down once as a composite of small operators, and
differentiated by the tape.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from fakel.autograd import enable_grad, grad, is_grad_enabled
from fakel.tensor import Tensor


def pullback(
    function: Callable[..., Any],
    inputs: Sequence[Tensor | None],
    output_gradients: Sequence[Tensor | None],
) -> tuple[Tensor | None, ...]:
    """The gradients of a composite function's floating-point inputs.

    Args:
        function: takes the inputs, gives a tensor or a tuple of tensors.
        inputs: tensors, or None.
        output_gradients: one for each output; None where nothing depends on an output.

    Returns:
        One gradient for each input, None where there is none. They can be differentiated again when
        gradients are enabled.
    """
    again = is_grad_enabled()
    with enable_grad():
        # Fresh aliases, so that differentiation stops here and not at the inputs' own history.
        aliases = [None if tensor is None else _alias(tensor, again) for tensor in inputs]
        outputs = function(*aliases)
        outputs = outputs if isinstance(outputs, tuple | list) else (outputs,)
        pairs = [
            (output, gradient)
            for output, gradient in zip(outputs, output_gradients, strict=True)
            if gradient is not None and output is not None and output.requires_grad
        ]
        wanted = [alias for alias in aliases if alias is not None and alias.requires_grad]
        if not pairs or not wanted:
            return (None,) * len(inputs)
        found = iter(
            grad(
                [output for output, _ in pairs],
                wanted,
                [gradient for _, gradient in pairs],
                create_graph=again,
                allow_unused=True,
            )
        )
    return tuple(
        next(found) if alias is not None and alias.requires_grad else None for alias in aliases
    )


def _alias(tensor: Tensor, again: bool) -> Tensor:
    if not (tensor.is_floating_point() or tensor.is_complex()):
        return tensor
    if again and tensor.requires_grad:
        return tensor.view_as(tensor)
    return tensor.detach().requires_grad_()
