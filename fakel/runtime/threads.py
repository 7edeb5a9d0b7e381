"""How many threads computations use: the limits that the machine sets, and the program's choice."""

from __future__ import annotations

import ctypes
import math
import os
from pathlib import Path
from typing import Any

import numpy as np


def available_processors() -> int:
    """The processors that this process may use: its affinity, and its cgroup's share of time."""
    count = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    share = Path("/sys/fs/cgroup/cpu.max")
    try:
        quota, period = share.read_text().split()
    except (OSError, ValueError):
        return count
    return count if quota == "max" else max(1, min(count, math.ceil(int(quota) / int(period))))


def _initial() -> int:
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    return int(wanted) if wanted.isdigit() and int(wanted) > 0 else available_processors()


_threads = _initial()


def get_num_threads() -> int:
    """The number of threads that one operation may use."""
    return _threads


def set_num_threads(num_threads: int) -> None:
    """Sets the number of threads that one operation may use.

    Raises:
        RuntimeError: when it is not positive.
    """
    global _threads
    if isinstance(num_threads, bool) or not isinstance(num_threads, int):
        raise TypeError(f"set_num_threads expects an int, but got {type(num_threads).__name__}")
    if num_threads < 1:
        raise RuntimeError("set_num_threads expects a positive integer")
    _threads = num_threads
    setter = _blas_setter()
    if setter is not None:
        setter(num_threads)


def _blas_setter() -> Any:
    """The function of NumPy's OpenBLAS that sets its number of threads, None with another BLAS."""
    folder = Path(np.__file__).parent.parent / "numpy.libs"
    for library in sorted(folder.glob("*openblas*")):
        loaded = ctypes.CDLL(str(library))
        for name in ("scipy_openblas_set_num_threads64_", "openblas_set_num_threads64_"):
            if hasattr(loaded, name):
                return getattr(loaded, name)
    return None
