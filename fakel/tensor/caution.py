"""Warnings that PyTorch gives once in a process."""

from __future__ import annotations

import warnings

_given: set[str] = set()
_always = [False]


def warn_once(message: str, stacklevel: int) -> None:
    """Warns, unless it was done before.

    Args:
        message: what to say, which also tells the warning from others.
        stacklevel: as of ``warnings.warn``, counted from the caller.
    """
    if _always[0] or message not in _given:
        _given.add(message)
        warnings.warn(message, UserWarning, stacklevel=stacklevel + 1)


def set_warn_always(b: bool, /) -> None:
    """Whether warnings that are given once in a process are given each time instead.

    Raises:
        RuntimeError: for anything but a bool.
    """
    if not isinstance(b, bool):
        raise RuntimeError(f"setWarnOnlyOnce expects a bool, but got {type(b).__name__}")
    _always[0] = b


def is_warn_always_enabled() -> bool:
    """Whether these warnings are given each time."""
    return _always[0]
