"""How exact products of float32 matrices have to be. Here they always are as exact as can be."""

from __future__ import annotations

import warnings

from fakel.backends.cuda import matmul

_NAMES = ("highest", "high", "medium")
_chosen = "highest"


def set_float32_matmul_precision(precision: str) -> None:
    """Says how exact products of float32 matrices have to be at least.

    ``high`` and ``medium`` let a device compute in narrower numbers. fakel computes in float32 in
    any case, which is as exact as ``highest`` asks for.

    Args:
        precision: ``highest``, ``high`` or ``medium``.

    Raises:
        RuntimeError: when it is no string.
    """
    global _chosen
    if not isinstance(precision, str):
        raise RuntimeError(
            f"set_float32_matmul_precision expects a str, but got {type(precision).__name__}"
        )
    if precision not in _NAMES:
        warnings.warn(
            f"{precision} is not one of 'highest', 'high', or 'medium'; the "
            "currentsetFloat32MatmulPrecision call has no effect.",
            stacklevel=2,
        )
        return
    _chosen = precision
    matmul.allow_tf32 = precision != "highest"


def get_float32_matmul_precision() -> str:
    """How exact products of float32 matrices have to be at least: the name that was set."""
    return _chosen
