"""``backward`` and ``grad``: the two ways to ask for gradients."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from fakel.autograd.engine import accumulate_into, run
from fakel.autograd.tape import edge_of
from fakel.tensor import Tensor


def _listed(tensors: Any) -> list[Tensor]:
    return [tensors] if isinstance(tensors, Tensor) else list(tensors)


def _roots(outputs: list[Tensor], grads: Sequence[Tensor | None]) -> list[tuple[Any, Tensor]]:
    roots = []
    for position, (output, grad) in enumerate(zip(outputs, grads, strict=True)):
        edge = edge_of(output)
        if grad is None:
            if not output.requires_grad:
                raise RuntimeError(_NO_GRAD_FN.format(position))
            if output.numel() != 1:
                raise RuntimeError("grad can be implicitly created only for scalar outputs")
            if not output.is_floating_point():
                raise RuntimeError(
                    f"grad can be implicitly created only for real scalar outputs but got "
                    f"{output.dtype}"
                )
            grad = Tensor._ones(output._shape, output.dtype)  # type: ignore[attr-defined]
        elif not isinstance(grad, Tensor):
            raise TypeError(
                "gradients can be either Tensors or None, but got " + type(grad).__name__
            )
        elif grad._shape != output._shape:
            raise RuntimeError(
                f"Mismatch in shape: grad_output[{position}] has a shape of {grad._shape} and "
                f"output[{position}] has a shape of {output._shape}."
            )
        elif edge is None:
            raise RuntimeError(_NO_GRAD_FN.format(position))
        elif grad.is_complex() != output.is_complex():
            raise RuntimeError(
                "For complex Tensors, both grad_output and output are required to have the same "
                "dtype. "
                f"Mismatch in dtype: grad_output[{position}] has a dtype of {grad.dtype} and "
                f"output[{position}] has a dtype of {output.dtype}."
            )
        roots.append((edge, grad))
    return roots


_CYCLE = (
    "Using backward() with create_graph=True will create a reference cycle between the "
    "parameter and its "
    "gradient which can cause a memory leak. We recommend using autograd.grad when creating "
    "the graph to "
    "avoid this. If you have to use this function, make sure to reset the .grad fields of "
    "your parameters "
    "to None after use to break the cycle and avoid the leak."
)
_NO_GRAD_FN = "element {} of tensors does not require grad and does not have a grad_fn"


def backward(
    tensors: Any,
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    grad_variables: Any = None,
    inputs: Any = None,
) -> None:
    """Adds the gradients of ``tensors`` with respect to the leaves to the leaves' ``grad``.

    Args:
        tensors: what to differentiate.
        grad_tensors: the gradient of something with respect to each; 1 for scalars when left out.
        retain_graph: keep what was saved, to go backward again; ``create_graph`` when left out.
        create_graph: record the backward pass, for higher derivatives.
        inputs: accumulate in these tensors only.
    """
    if grad_variables is not None:
        warnings.warn(
            "`grad_variables` is deprecated. Use `grad_tensors` instead.",
            FutureWarning,
            stacklevel=2,
        )
        if grad_tensors is not None:
            raise RuntimeError(
                "`grad_tensors` and `grad_variables` (deprecated) arguments both passed to "
                "`backward()`. "
                "Please only use `grad_tensors`."
            )
        grad_tensors = grad_variables
    if create_graph:
        warnings.warn(_CYCLE, UserWarning, stacklevel=3)
    outputs = _listed(tensors)
    grads = [None] * len(outputs) if grad_tensors is None else _listed(grad_tensors)
    if len(grads) != len(outputs):
        raise RuntimeError(f"got {len(outputs)} tensors and {len(grads)} gradients")
    targets = None
    if inputs is not None:
        targets = _listed(inputs)
        if not targets:
            raise RuntimeError("`inputs` argument to `backward()` cannot be empty.")
    roots = _roots(outputs, grads)
    edges = None if targets is None else [_target_edge(t) for t in targets]
    keep = create_graph if retain_graph is None else retain_graph
    captured = run(roots, keep, create_graph, edges, accumulate=True)
    for position, tensor in enumerate(targets or ()):
        if not tensor.is_leaf and position in captured:
            accumulate_into(tensor, captured[position], create_graph)


def _target_edge(tensor: Tensor) -> Any:
    edge = edge_of(tensor)
    if edge is None:
        raise RuntimeError("One of the differentiated Tensors does not require grad")
    return edge


def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Tensor | None, ...]:
    """The gradients of ``outputs`` with respect to ``inputs``.

    Args:
        outputs: what to differentiate.
        inputs: with respect to what.
        grad_outputs: the gradient of something with respect to each output; 1 for scalars.
        retain_graph: keep what was saved, to go backward again; ``create_graph`` when left out.
        create_graph: record the backward pass, for higher derivatives.
        allow_unused: None instead of an error for inputs that the outputs do not depend on.
        is_grads_batched: each ``grad_outputs`` has a first dimension more, of separate gradients.
        materialize_grads: zeros instead of None for such inputs.
    """
    tops, sources = _listed(outputs), _listed(inputs)
    if not sources:
        raise RuntimeError("`inputs` argument to `grad()` cannot be empty.")
    for source in sources:
        if not isinstance(source, Tensor):
            raise RuntimeError(
                f"all inputs have to be Tensors or GradientEdges, but got {type(source).__name__}"
            )
    allow_unused = materialize_grads if allow_unused is None else allow_unused
    if materialize_grads and not allow_unused:
        raise ValueError(
            "Expected allow_unused to be True or not passed when materialize_grads=True, but got: "
            "allow_unused=False."
        )
    grads = [None] * len(tops) if grad_outputs is None else _listed(grad_outputs)
    if len(grads) != len(tops):
        raise RuntimeError(f"got {len(tops)} tensors and {len(grads)} gradients")
    keep = create_graph if retain_graph is None else retain_graph
    if is_grads_batched:
        return _batched(tops, sources, grads, create_graph, allow_unused, materialize_grads)
    roots = _roots(tops, grads)
    captured = run(roots, keep, create_graph, [_target_edge(t) for t in sources], accumulate=False)
    results: list[Tensor | None] = []
    for position, source in enumerate(sources):
        # the same tensor may be asked for twice: the walk knows its last position
        found = captured.get(position)
        if found is None:
            twin = next((p for p, s in enumerate(sources) if s is source and p in captured), None)
            found = None if twin is None else captured[twin]
        if found is None and not allow_unused:
            raise RuntimeError(
                f"The differentiated Tensor at index {position} appears to not have been used "
                "in the graph. Set "
                "allow_unused=True if this is the desired behavior."
            )
        if found is None and materialize_grads:
            found = Tensor._zeros(source._shape, source.dtype)  # type: ignore[attr-defined]
        results.append(found)
    return tuple(results)


def _batched(
    tops: list[Tensor],
    sources: list[Tensor],
    grads: list[Any],
    create_graph: bool,
    allow_unused: bool,
    materialize: bool,
) -> tuple[Tensor | None, ...]:
    rows = [
        grad(tops, sources, list(row), True, create_graph, allow_unused, False, materialize)
        for row in zip(*(g.unbind(0) for g in grads), strict=True)
    ]
    stack = Tensor._stack  # type: ignore[attr-defined]
    return tuple(
        None if column[0] is None else stack(list(column)) for column in zip(*rows, strict=True)
    )


def tensor_backward(
    self: Tensor,
    gradient: Tensor | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Any = None,
) -> None:
    """Adds the gradient of this tensor with respect to the leaves to their ``grad``.

    Args:
        gradient: the gradient of something with respect to this tensor; 1 for a scalar.
        retain_graph: keep what was saved, to go backward again; ``create_graph`` when left out.
        create_graph: record the backward pass, for higher derivatives.
        inputs: accumulate in these tensors only.
    """
    backward(self, gradient, retain_graph, create_graph, inputs=inputs)


tensor_backward.__name__, tensor_backward.__qualname__ = "backward", "Tensor.backward"
Tensor.backward = tensor_backward  # type: ignore[attr-defined]
