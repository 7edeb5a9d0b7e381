"""How many threads computations use: the limits that the machine sets, and the program's choice."""

from __future__ import annotations

import ctypes
import math
import os
from pathlib import Path
from typing import Any

import numpy as np


def available_processors() -> int:
    """The processors that this process may use: its affinity, and its cgroups' share of time."""
    count = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    share = cgroup_share(Path("/proc/self/cgroup"), Path("/sys/fs/cgroup"))
    return max(1, math.ceil(min(count, share)))


def cgroup_share(membership: Path, root: Path) -> float:
    """The processors whose time the control groups of a process grant, infinity without a limit.

    Args:
        membership: the file that names the process's groups, such as /proc/self/cgroup.
        root: where the groups are mounted. Version 2 has `cpu.max` in a group's folder, version 1
            `cpu.cfs_quota_us` and `cpu.cfs_period_us` below the folder of its controller.
    """
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        return math.inf
    share = math.inf
    for line in lines:
        _, controllers, group = line.split(":", 2)
        mounts = [root] if not controllers else [root / controllers, root / "cpu"]
        if controllers and "cpu" not in controllers.split(","):
            continue
        # the limits of the groups around a group hold as well; in a container the path may be the
        # host's, and only the mounted root there is
        for mount in mounts:
            below = Path(group.lstrip("/"))
            for folder in (mount / below, *(mount / outer for outer in below.parents)):
                share = min(share, _folder_share(folder))
    return share


def _folder_share(folder: Path) -> float:
    for names in (("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us")):
        try:
            quota, period = " ".join((folder / name).read_text() for name in names).split()
            if int(quota) > 0:  # version 1 says -1, version 2 "max" where there is no limit
                return int(quota) / int(period)
        except (OSError, ValueError):
            continue
    return math.inf


def _initial() -> int:
    # a list gives the numbers of nested levels, of which there is one here
    wanted = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
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
        raise RuntimeError(f"set_num_threads expects an int, but got {type(num_threads).__name__}")
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
