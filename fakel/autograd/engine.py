"""Runs backward nodes in reverse order of recording and adds up what reaches each of them."""

from __future__ import annotations

import heapq
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fakel.autograd.anomaly import anomaly, warn_with_forward_stack
from fakel.autograd.modes import set_grad_enabled, state
from fakel.autograd.tape import AccumulateGrad, Backward, Pullback, attach
from fakel.graph import begin_backward, undoable
from fakel.tensor import Tensor


def run(
    roots: Sequence[tuple[Any, Tensor]],
    keep_graph: bool,
    create_graph: bool,
    targets: Sequence[Any] | None,
    accumulate: bool,
) -> dict[int, Tensor]:
    """Walks the tape from the roots.

    Args:
        roots: pairs of an edge (see ``edge_of``) and the gradient that enters there.
        keep_graph: keep what was saved, so that the tape can be walked again.
        create_graph: record the walk itself.
        targets: the edges whose gradients are wanted, None for all leaves.
        accumulate: add gradients to the leaves' (or targets') ``grad``.

    Returns:
        the gradient of each target, by its position in ``targets``.
    """
    begin_backward()
    wanted = None if targets is None else {_key(edge): i for i, edge in enumerate(targets)}
    dependencies = _count_dependencies([edge for edge, _ in roots])
    useful = None if wanted is None else _leading_to(dependencies, wanted)
    buffers: dict[Any, list[Tensor | None]] = {}
    captured: dict[int, Tensor] = {}
    leaves: dict[int, tuple[Tensor, Tensor]] = {}
    ready: list[tuple[int, int, Backward]] = []

    def deliver(edge: Any, grad: Tensor) -> None:
        if isinstance(edge, Tensor):
            known = leaves.get(id(edge))
            leaves[id(edge)] = (edge, _added(None if known is None else known[1], grad))
            return
        node, index = edge
        buffer = buffers.setdefault(node, [None] * len(node.outputs))
        buffer[index] = _added(buffer[index], grad)

    with set_grad_enabled(create_graph):
        for edge, grad in roots:
            deliver(edge, grad)
        for node in dependencies:
            if not dependencies[node]:
                heapq.heappush(ready, (-node.sequence, id(node), node))
        while ready:
            node = heapq.heappop(ready)[2]
            grads = buffers.pop(node, None)
            results: Sequence[Tensor | None] = ()
            if grads is not None:
                if node.hooked:
                    grads = _after_tensor_hooks(node, grads)
                if wanted is not None:
                    for index, arrived in enumerate(grads):
                        position = wanted.get((id(node), index))
                        if position is not None and arrived is not None:
                            captured[position] = arrived
                if useful is None or node in useful:
                    results = _pull_back(node, grads, keep_graph)
            for position, edge in enumerate(node.edges):
                if edge is None:
                    continue
                if position < len(results) and results[position] is not None:
                    deliver(edge, results[position])  # type: ignore[arg-type]
                if not isinstance(edge, Tensor):
                    dependencies[edge[0]] -= 1
                    if not dependencies[edge[0]]:
                        heapq.heappush(ready, (-edge[0].sequence, id(edge[0]), edge[0]))
        for leaf, grad in leaves.values():
            _finish_leaf(leaf, grad, wanted, captured, accumulate, create_graph)
    return captured


def _added(known: Tensor | None, grad: Tensor) -> Tensor:
    return grad if known is None else known + grad  # type: ignore[operator]


def _key(edge: Any) -> Any:
    return (id(edge), None) if isinstance(edge, Tensor) else (id(edge[0]), edge[1])


def _count_dependencies(edges: list[Any]) -> dict[Backward, int]:
    """How many recorded uses each node's outputs have among the nodes that can be reached."""
    counts: dict[Backward, int] = {}
    stack = []
    for edge in edges:
        if not isinstance(edge, Tensor) and edge[0] not in counts:
            counts[edge[0]] = 0
            stack.append(edge[0])
    while stack:
        for edge in stack.pop().edges:
            if edge is None or isinstance(edge, Tensor):
                continue
            node = edge[0]
            if node not in counts:
                counts[node] = 0
                stack.append(node)
            counts[node] += 1
    return counts


def _leading_to(nodes: dict[Backward, int], wanted: dict[Any, int]) -> set[Backward]:
    """The nodes from which a wanted edge can be reached; inputs are always older than results."""
    useful: set[Backward] = set()
    for node in sorted(nodes, key=lambda node: node.sequence):
        for edge in node.edges:
            if edge is not None and (
                _key(edge) in wanted or (not isinstance(edge, Tensor) and edge[0] in useful)
            ):
                useful.add(node)
                break
    return useful


def _after_tensor_hooks(node: Backward, grads: list[Tensor | None]) -> list[Tensor | None]:
    for index, hooks in node.tensor_hooks.items():
        grad = grads[index]
        if grad is not None:
            grads[index] = call_tensor_hooks(hooks, grad)
    for hook in tuple(node.prehooks.values()):
        replaced = hook(tuple(grads))
        if replaced is not None:
            grads = list(replaced) if isinstance(replaced, tuple) else [replaced]
    for index, reference in node.retained.items():
        tensor, grad = reference(), grads[index]
        if tensor is not None and grad is not None:
            known = tensor._grad
            tensor._grad = grad if known is None else known + grad
    return grads


def call_tensor_hooks(hooks: dict[int, Any], grad: Tensor) -> Tensor:
    """The gradient after the hooks of a tensor; each may return a replacement."""
    for hook in tuple(hooks.values()):
        replaced = hook(grad)
        if replaced is None:
            continue
        if not isinstance(replaced, Tensor):
            raise TypeError(f"expected Variable, but hook returned '{type(replaced).__name__}'")
        if replaced._shape != grad._shape:
            raise RuntimeError(
                f"hook '{getattr(hook, '__name__', hook)}' has changed the size of value"
            )
        grad = replaced
    return grad


def _pull_back(
    node: Backward, grads: list[Tensor | None], keep_graph: bool
) -> Sequence[Tensor | None]:
    try:
        results: Sequence[Tensor | None] = node.pullback(tuple(grads))
    except Exception:
        if anomaly.enabled:
            warn_with_forward_stack(node)
        raise
    if anomaly.enabled and anomaly.check_nan:
        for index, grad in enumerate(results):
            if grad is not None and np.isnan(grad._values()).any():
                warn_with_forward_stack(node)
                raise RuntimeError(
                    f"Function '{node.name()}' returned nan values in its {index}th output."
                )
    if node.hooked and node.hooks:
        results = _after_hooks(node, list(results), grads)
    if not keep_graph:
        node.free()
    return results


def _after_hooks(
    node: Backward, results: list[Tensor | None], grads: list[Tensor | None]
) -> list[Tensor | None]:
    inputs = node.inputs()
    for hook in tuple(node.hooks.values()):
        replaced = hook(tuple([results[position] for position in inputs]), tuple(grads))
        if replaced is not None:
            given = replaced if isinstance(replaced, tuple) else (replaced,)
            for position, each in zip(inputs, given, strict=False):
                results[position] = each
    return results


def _finish_leaf(
    leaf: Tensor,
    grad: Tensor,
    wanted: dict[Any, int] | None,
    captured: dict[int, Tensor],
    accumulate: bool,
    create_graph: bool,
) -> None:
    position = None if wanted is None else wanted.get((id(leaf), None))
    if wanted is not None and position is None:
        return
    if leaf._hooks is not None:
        grad = call_tensor_hooks(leaf._hooks.before, grad)
    if position is not None:
        captured[position] = grad
    if not accumulate:
        return
    accumulate_into(leaf, grad, create_graph)
    if leaf._hooks is not None:
        for hook in tuple(leaf._hooks.after.values()):
            hook(leaf)


def accumulate_into(tensor: Tensor, grad: Tensor, create_graph: bool) -> None:
    """Adds a gradient to ``tensor.grad``, in place when the gradient has no graph of its own."""
    known = tensor._grad
    if known is None:
        undoable(without_gradient(tensor))
        tensor._grad = _copied(grad) if create_graph and state.enabled else _of_its_own(grad)
    elif create_graph:
        tensor._grad = known + grad  # type: ignore[operator]
    else:
        known.add_(grad)  # type: ignore[attr-defined]


def _accumulate(self: AccumulateGrad, grad: Tensor) -> tuple[()]:
    """Adds a gradient to that of the leaf."""
    accumulate_into(self.variable, grad, state.enabled)
    return ()


# the tape lies below the engine, which adds gradients up
AccumulateGrad.__call__ = _accumulate  # type: ignore[method-assign]


def without_gradient(tensor: Tensor) -> Callable[[], None]:
    """What takes the gradient of a tensor away."""
    reference = weakref.ref(tensor)

    def restore() -> None:
        tensor = reference()
        if tensor is not None:
            tensor._grad = None

    return restore


def _copied(grad: Tensor) -> Tensor:
    """A copy that leads back to the gradient."""
    copy = _of_its_own(grad)
    if grad.requires_grad:
        attach(copy, Pullback.titled("CopyBackwards")(grad, lambda grad: grad))
    return copy


def _of_its_own(grad: Tensor) -> Tensor:
    """The gradient in a storage that nothing else writes; shares the value until then."""
    if grad._strides is None and grad._shape.numel() == grad._storage.length:
        alias = grad._alias()
        alias._storage = grad._storage.copy()
        return alias
    return grad.detach().clone()  # type: ignore[attr-defined, no-any-return]
