"""Whether operations are recorded for backward: ``no_grad``, ``inference_mode`` and the like."""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable
from typing import Any, Self, TypeVar

Wrapped = TypeVar("Wrapped", bound=Callable[..., Any])


class _State(threading.local):
    enabled = True
    inference = False


state = _State()


def is_grad_enabled() -> bool:
    """Whether operations on tensors that require gradients are recorded for backward."""
    return state.enabled


def is_inference_mode_enabled() -> bool:
    """Whether inference mode is on."""
    return state.inference


class _Mode:
    """A context manager that is also a decorator for functions and generators."""

    def clone(self) -> Self:
        return self.__class__()

    def __enter__(self) -> Any:
        raise NotImplementedError

    def __exit__(self, *exception: object) -> None:
        raise NotImplementedError

    def __call__(self, function: Wrapped) -> Wrapped:
        if inspect.isclass(function):
            raise TypeError(f"{type(self).__name__} cannot decorate a class; decorate its methods")
        if inspect.isgeneratorfunction(function):
            return self._wrap_generator(function)  # type: ignore[return-value]

        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            with self.clone():
                return function(*args, **kwargs)

        return wrapper  # type: ignore[return-value]

    def _wrap_generator(self, function: Callable[..., Any]) -> Callable[..., Any]:
        # the mode holds while the generator runs, not while its caller does
        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            generator = function(*args, **kwargs)
            resume: Callable[[], Any] = functools.partial(generator.send, None)
            try:
                while True:
                    with self.clone():
                        item = resume()
                    try:
                        sent = yield item
                    except GeneratorExit:
                        with self.clone():
                            generator.close()
                        raise
                    except BaseException as error:
                        resume = functools.partial(generator.throw, error)
                    else:
                        resume = functools.partial(generator.send, sent)
            except StopIteration as stop:
                return stop.value

        return wrapper


class _GradMode(_Mode):
    target = True

    def __enter__(self) -> None:
        self._previous = state.enabled
        state.enabled = self.target

    def __exit__(self, *exception: object) -> None:
        state.enabled = self._previous


class no_grad(_GradMode):
    """Nothing is recorded for backward: results do not require gradients."""

    target = False

    def __new__(cls, function: Any = None) -> Any:
        self = super().__new__(cls)
        return self if function is None else self(function)


class enable_grad(_GradMode):
    """Recording for backward is on, also within ``no_grad``."""

    def __new__(cls, function: Any = None) -> Any:
        self = super().__new__(cls)
        return self if function is None else self(function)


class set_grad_enabled(_GradMode):
    """Switches recording for backward on or off, at once; as a context manager, until its end.

    Args:
        mode: whether to record.
    """

    def __init__(self, mode: bool) -> None:
        if not isinstance(mode, bool):
            raise TypeError(
                "set_grad_enabled(): argument 'enabled' (position 1) must be bool, not "
                f"{type(mode).__name__}"
            )
        self.target = mode
        self._previous = state.enabled
        state.enabled = mode

    def __enter__(self) -> None:
        state.enabled = self.target

    def __call__(self, function: Wrapped) -> Wrapped:
        state.enabled = self._previous
        return super().__call__(function)

    def clone(self) -> set_grad_enabled:
        return self.__class__(self.target)

    def __repr__(self) -> str:
        return f"torch.autograd.grad_mode.set_grad_enabled(mode={self.target})"


class inference_mode(_Mode):
    """``no_grad``, and what is made within can never take part in autograd.

    Args:
        mode: False makes it have no effect.
    """

    def __new__(cls, mode: Any = True) -> Any:
        self = super().__new__(cls)
        if isinstance(mode, bool):
            return self
        self.mode = True
        return self(mode)

    def __init__(self, mode: bool = True) -> None:
        self.mode = mode

    def clone(self) -> inference_mode:
        return self.__class__(self.mode)

    def __enter__(self) -> None:
        self._previous = state.enabled, state.inference
        state.enabled = state.enabled and not self.mode
        state.inference = self.mode

    def __exit__(self, *exception: object) -> None:
        state.enabled, state.inference = self._previous
