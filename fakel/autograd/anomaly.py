"""Anomaly mode: backward names the line whose gradient failed or became NaN."""

from __future__ import annotations

import warnings
from typing import Any


class _Anomaly:
    enabled = False
    check_nan = True


anomaly = _Anomaly()


class set_detect_anomaly:
    """Switches anomaly mode; as a context manager, until its end.

    Args:
        mode: whether each operation remembers where it was called.
        check_nan: whether NaN in a gradient raises.
    """

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        self._previous = anomaly.enabled, anomaly.check_nan
        anomaly.enabled, anomaly.check_nan = mode, check_nan

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exception: object) -> None:
        anomaly.enabled, anomaly.check_nan = self._previous


class detect_anomaly(set_detect_anomaly):
    """Anomaly mode as a context manager.

    Args:
        check_nan: whether NaN in a gradient raises.
    """

    def __init__(self, check_nan: bool = True) -> None:
        super().__init__(anomaly.enabled, anomaly.check_nan)
        self._check_nan = check_nan
        warnings.warn(
            "Anomaly Detection has been enabled. This mode will increase the runtime and should "
            "only be "
            "enabled for debugging.",
            stacklevel=2,
        )

    def __enter__(self) -> None:
        anomaly.enabled, anomaly.check_nan = True, self._check_nan


def is_anomaly_enabled() -> bool:
    """Whether anomaly mode is on."""
    return anomaly.enabled


def is_anomaly_check_nan_enabled() -> bool:
    """Whether anomaly mode looks for NaN."""
    return anomaly.check_nan


def warn_with_forward_stack(node: Any) -> None:
    """Says where the operation of a failing backward node was called."""
    if node.stack is None:
        warnings.warn(
            f"Error detected in {node.name()}. No forward pass information available. Enable "
            "detect "
            "anomaly during forward pass for more information.",
            stacklevel=2,
        )
    else:
        warnings.warn(
            f"Error detected in {node.name()}. Traceback of forward call that caused the error:\n"
            + "".join(node.stack),
            stacklevel=2,
        )
