"""Whether operators have to give the same numbers every time. Here they always do."""

from __future__ import annotations

_MODES = ("default", "warn", "error")


class _Chosen:
    mode = 0


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Asks for operators that give the same numbers every time, as all of fakel's do.

    Args:
        mode: whether they are asked for.
        warn_only: others would warn, not raise; there are none.

    Raises:
        TypeError: when the mode is no truth value.
    """
    if not isinstance(mode, bool):
        raise TypeError(
            "_set_deterministic_algorithms(): argument 'mode' (position 1) must be bool, not "
            f"{type(mode).__name__}"
        )
    _Chosen.mode = (1 if warn_only else 2) if mode else 0


def are_deterministic_algorithms_enabled() -> bool:
    """Whether operators that give the same numbers every time were asked for."""
    return _Chosen.mode > 0


def is_deterministic_algorithms_warn_only_enabled() -> bool:
    """Whether other operators would only warn."""
    return _Chosen.mode == 1


def set_deterministic_debug_mode(debug_mode: int | str) -> None:
    """``use_deterministic_algorithms`` by a name or a number.

    Args:
        debug_mode: ``default`` or 0, ``warn`` or 1, ``error`` or 2.

    Raises:
        TypeError: when it is neither.
        RuntimeError: for another name or number.
    """
    if not isinstance(debug_mode, (int, str)):
        raise TypeError(f"debug_mode must be str or int, but got {type(debug_mode)}")
    if isinstance(debug_mode, str):
        if debug_mode not in _MODES:
            raise RuntimeError(
                "invalid value of debug_mode, expected one of `default`, `warn`, `error`, but got "
                f"{debug_mode}"
            )
        debug_mode = _MODES.index(debug_mode)
    if debug_mode not in (0, 1, 2):
        raise RuntimeError(
            f"invalid value of debug_mode, expected 0, 1, or 2, but got {debug_mode}"
        )
    _Chosen.mode = debug_mode


def get_deterministic_debug_mode() -> int:
    """0, 1 or 2: as ``set_deterministic_debug_mode`` takes it."""
    return _Chosen.mode
