"""How view operators make their results: the same storage seen with another geometry."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fakel.autograd.modes import enable_grad, state
from fakel.autograd.tape import Pullback, attach
from fakel.graph import watching
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
    if watching.capture is not None:
        watching.capture.viewed(view, input, replay)
    base = input._base
    if base is None:
        view._base = input
        view._replay = replay
    else:
        first = input._replay
        assert first is not None
        view._base = base
        view._replay = lambda other: replay(first(other))
    if view._base._generation:
        view._generation = view._base._generation
    if state.enabled and input.requires_grad:
        attach(view, Pullback.titled(title)(input, pullback))
        view._generation = view._base._generation
    elif not state.enabled and view._base.requires_grad:
        view._origin = ("no_grad", 0)
    return view


def _history_from_base(self: Tensor) -> tuple[Any, int]:
    """The backward node of a view whose base was changed in place since: that of the same view of
    the base as it is now.
    """
    assert self._base is not None and self._replay is not None
    with enable_grad():
        view = self._replay(self._base)
    node = view._backward_node()
    node.__class__ = Pullback.titled("AsStridedBackward0")
    return node, view._output_index


Tensor._history_from_base = _history_from_base  # type: ignore[attr-defined]


def made_together(views: tuple[Tensor, ...], maker: str) -> tuple[Tensor, ...]:
    """Notes that these views of one tensor were made at once, which forbids writing into them."""
    for index, view in enumerate(views):
        view._origin = (maker, index)
    return views
