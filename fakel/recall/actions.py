"""Actions: methods that a compiled function's episode carries out as they are.

These are ``backward``, and an optimizer's ``zero_grad`` and ``step``. Their effect goes beyond
their arguments, so what a function did before and after is captured apart from them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any


class _Observing:
    """``episode`` is being observed, if there is one."""

    episode: Any = None


observing = _Observing()


def action(function: Callable[..., Any]) -> Callable[..., Any]:
    """Declares a method whose effect is not recorded alone: it ends what was captured so far.

    Attributes of the function say how it becomes a part of a joined episode: ``cleared`` gives the
    parameters whose gradients it resets, ``updates`` what an optimizer's step does, which
    ``unflushed`` records without computing it.
    """

    @functools.wraps(function)
    def perform(self: Any, *args: Any, **kwargs: Any) -> Any:
        episode = observing.episode
        if episode is None:
            return function(self, *args, **kwargs)
        return episode.perform(function, self, args, kwargs)

    return perform
