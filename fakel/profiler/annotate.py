"""`record_function`: a name for a part of a program, in profiles."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Self, TypeVar

from fakel.runtime import trace

Wrapped = TypeVar("Wrapped", bound=Callable[..., Any])


class record_function:
    """Gives a block, or each call of a function, a name in profiles.

    Operators inside are recorded there and computed at the next flush: that is where their kernels
    stand in the profile.

    Args:
        name: it.
        args: shown behind the name.
    """

    def __init__(self, name: str, args: str | None = None) -> None:
        self.name = name
        self.args = args
        self._span: Any = None

    def __enter__(self) -> Self:
        self._span = trace.span(
            "user", self.name if self.args is None else f"{self.name}: {self.args}"
        )
        self._span.__enter__()
        return self

    def __exit__(self, *exception: Any) -> None:
        span, self._span = self._span, None
        span.__exit__(*exception)

    def __call__(self, function: Wrapped) -> Wrapped:
        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            with record_function(self.name, self.args):
                return function(*args, **kwargs)

        return wrapper  # type: ignore[return-value]
