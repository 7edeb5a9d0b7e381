"""How view operators make their results: the same storage seen with another geometry."""

from __future__ import annotations

from collections.abc import Callable

from fakel.autograd.modes import state
from fakel.autograd.tape import Pullback, attach
from fakel.tensor import Tensor


def make_view(
    input: Tensor,
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    offset: int,
    title: str,
    pullback: Callable[[Tensor], Tensor],
    replay: Callable[[Tensor], Tensor],
) -> Tensor:
    """A differentiable view of ``input``.

    Args:
        shape, strides, offset: its geometry on the storage.
        title: the name of its backward node.
        pullback: the gradient of ``input`` from that of the view.
        replay: makes the same view of another tensor shaped like ``input``.
    """
    view = input._strided_alias(shape, strides, offset)
    base = input._base
    if base is None:
        view._base = input
        view._replay = replay
    else:
        first = input._replay
        assert first is not None
        view._base = base
        view._replay = lambda other: replay(first(other))
    view._generation = view._base._generation
    if state.enabled and input.requires_grad:
        attach(view, Pullback(title, input, pullback))
        view._generation = view._base._generation
    return view
