"""Activation checkpointing: less is kept for backward, and computed again when it is needed.

(T. Chen, B. Xu, C. Zhang, C. Guestrin, "Training deep nets with sublinear memory cost", 2016)
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from fakel.autograd import autocast as casting
from fakel.autograd import enable_grad, no_grad
from fakel.autograd.graph import saved_tensors_hooks
from fakel.nn import Sequential
from fakel.ops.random_state import fork_rng, get_rng_state, set_rng_state
from fakel.tensor import Tensor

__all__ = [
    "CheckpointError",
    "checkpoint",
    "checkpoint_sequential",
    "noop_context_fn",
    "set_checkpoint_early_stop",
]


class CheckpointError(RuntimeError):
    """What is computed again differs from what was computed first."""


class _Settings:
    early_stop: bool | None = None


class _Stop(Exception):  # noqa: N818 - no error: all that is needed was computed
    """All that was saved is computed again."""


@contextlib.contextmanager
def set_checkpoint_early_stop(enable: bool) -> Iterator[None]:
    """Within the block, computing again stops, or does not, as soon as all that is needed is there.

    Args:
        enable: whether it stops, whatever ``checkpoint`` is told.
    """
    before, _Settings.early_stop = _Settings.early_stop, enable
    try:
        yield
    finally:
        _Settings.early_stop = before


def noop_context_fn() -> tuple[Any, Any]:
    """Two contexts that do nothing."""
    return contextlib.nullcontext(), contextlib.nullcontext()


def _description(tensor: Tensor) -> dict[str, Any]:
    return {"shape": tensor.shape, "dtype": tensor.dtype, "device": tensor.device}


_CHECKS: dict[str, Callable[[Tensor], Any]] = {
    "default": _description,
    "none": lambda tensor: None,
}


class _Frame:
    """One call: how to make it again, and what it saves for backward."""

    def __init__(
        self, again: Callable[[], Any], describe: Callable[[Tensor], Any], early_stop: bool
    ) -> None:
        self.again = again
        self.describe = describe
        self.early_stop = early_stop
        self.descriptions: list[Any] = []
        self.values: dict[int, Tensor] = {}

    def pack(self, tensor: Tensor) -> int:
        """Keeps the number of a saved tensor in its place."""
        self.descriptions.append(self.describe(tensor))
        return len(self.descriptions) - 1

    def unpack(self, number: int) -> Tensor:
        """The tensor, which is given away: another pass computes it anew."""
        if number not in self.values:
            self._compute()
        return self.values.pop(number)

    def _compute(self) -> None:
        found: list[Tensor] = []

        def keep(tensor: Tensor) -> Tensor:
            if len(found) == len(self.descriptions):
                raise CheckpointError(
                    "torch.utils.checkpoint: trying to save more tensors during recomputation "
                    "than during the original forward pass."
                )
            found.append(tensor.detach() if tensor.requires_grad else tensor)
            if self.early_stop and len(found) == len(self.descriptions):
                raise _Stop
            return tensor

        with contextlib.suppress(_Stop), saved_tensors_hooks(keep, lambda tensor: tensor):
            self.again()
        if len(found) != len(self.descriptions):
            raise CheckpointError(
                "torch.utils.checkpoint: A different number of tensors was saved during the "
                "original forward and recomputation.\nNumber of tensors saved during forward: "
                f"{len(self.descriptions)}\nNumber of tensors saved during recomputation: "
                f"{len(found)}."
            )
        different = [
            f"tensor at position {place}:\nsaved metadata: {before}\n"
            f"recomputed metadata: {self.describe(tensor)}\n"
            for place, (before, tensor) in enumerate(zip(self.descriptions, found))
            if before != self.describe(tensor)
        ]
        if different:
            raise CheckpointError(
                "torch.utils.checkpoint: Recomputed values for the following tensors have "
                f"different metadata than during the forward pass.\n{''.join(different)}"
            )
        self.values = dict(enumerate(found))


def _with_settings(function: Callable[[], Any], preserve_rng_state: bool) -> Callable[[], Any]:
    """The call under the random state and the autocast of now."""
    state = get_rng_state() if preserve_rng_state else None
    settings = (
        casting.is_autocast_enabled("cpu"),
        casting.get_autocast_dtype("cpu"),
        casting.is_autocast_cache_enabled(),
    )

    def again() -> Any:
        with fork_rng(enabled=preserve_rng_state), casting.set_to(*settings), enable_grad():
            if state is not None:
                set_rng_state(state)
            return function()

    return again


def _warn_reentrant(name: str) -> None:
    warnings.warn(
        f"{name}: the use_reentrant parameter should be passed explicitly. Starting in PyTorch "
        "2.9, calling checkpoint without use_reentrant will raise an exception. "
        "use_reentrant=False is recommended, but if you need to preserve the current default "
        "behavior, you can pass use_reentrant=True. Refer to docs for more details on the "
        "differences between the two variants.",
        stacklevel=3,
    )


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool | None = None,
    context_fn: Callable[[], tuple[Any, Any]] = noop_context_fn,
    determinism_check: str = "default",
    debug: bool = False,
    early_stop: bool = True,
    preserve_rng_state: bool = True,
    **kwargs: Any,
) -> Any:
    """Calls a function, and again during backward instead of keeping what it saves for it.

    Args:
        function: the function, which computes the same when it is called again.
        *args: its arguments.
        use_reentrant: True for PyTorch's older variant, which gives a gradient only where an
            argument requires one, and takes no keywords (here it works with ``autograd.grad``
            too); it warns for None, and takes True.
        context_fn: makes a context for the first call and one for the second.
        determinism_check: ``default`` compares shapes and dtypes of both calls, ``none`` nothing.
        debug: PyTorch's log of operators, which is not there.
        early_stop: whether the second call ends as soon as all that is needed is there.
        preserve_rng_state: whether the second call draws the same random numbers.
        **kwargs: the function's keywords.

    Raises:
        ValueError: for keywords, ``context_fn`` or ``debug`` with ``use_reentrant``.
        NotImplementedError: for ``debug``.
        CheckpointError: in backward, when the second call saves other tensors than the first.
    """
    if use_reentrant is None:
        _warn_reentrant("torch.utils.checkpoint")
        use_reentrant = True
    if use_reentrant:
        if kwargs:
            raise ValueError(f"Unexpected keyword arguments: {','.join(kwargs)}")
        if context_fn is not noop_context_fn or debug is not False:
            raise ValueError(
                "Passing `context_fn` or `debug` is only supported when use_reentrant=False."
            )
        if not any(isinstance(arg, Tensor) and arg.requires_grad for arg in args):
            warnings.warn(
                "None of the inputs have requires_grad=True. Gradients will be None", stacklevel=2
            )
            with no_grad():
                return function(*args)
    if debug:
        raise NotImplementedError("fakel keeps no log of operators: checkpoint has no debug=True")
    if determinism_check not in _CHECKS:
        raise ValueError(
            f"determinism_check should be one of {list(_CHECKS)}, but got {determinism_check}"
        )
    first, second = context_fn()

    def again() -> Any:
        with second:
            return function(*args, **kwargs)

    stops = early_stop if _Settings.early_stop is None else _Settings.early_stop
    frame = _Frame(_with_settings(again, preserve_rng_state), _CHECKS[determinism_check], stops)
    with saved_tensors_hooks(frame.pack, frame.unpack), first:
        return function(*args, **kwargs)


def checkpoint_sequential(
    functions: Any,
    segments: int,
    input: Any,
    use_reentrant: bool | None = None,
    preserve_rng_state: bool = True,
) -> Any:
    """Calls functions one after the other, in segments that are checkpointed, but for the last.

    Args:
        functions: a ``Sequential``, or a list of functions.
        segments: how many.
        input: what the first takes.
        use_reentrant: as for ``checkpoint``.
        preserve_rng_state: as for ``checkpoint``.
    """
    if use_reentrant is None:
        _warn_reentrant("torch.utils.checkpoint.checkpoint_sequential")
        use_reentrant = True
    steps = list(functions.children()) if isinstance(functions, Sequential) else list(functions)

    def run(start: int, end: int) -> Callable[[Any], Any]:
        def forward(value: Any) -> Any:
            for step in steps[start:end]:
                value = step(value)
            return value

        return forward

    size = len(steps) // segments
    starts = range(0, size * (segments - 1), size)
    for start in starts:
        input = checkpoint(
            run(start, start + size),
            input,
            use_reentrant=use_reentrant,
            preserve_rng_state=preserve_rng_state,
        )
    return run(len(starts) * size, len(steps))(input)
