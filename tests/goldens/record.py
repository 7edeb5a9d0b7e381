"""Records golden files from PyTorch: `python -m tests.goldens.record [family ...]`, or all.

The bytes depend on the cases and on PyTorch alone. Families that draw random numbers are recorded
on a processor where PyTorch draws them itself (see docs/numbers.md).
"""

from __future__ import annotations

import gzip
import json
import os
import sys
import warnings
from pathlib import Path
from typing import Any

from tests.goldens import VERSION, cases, path

NO_FAMILIES = ("__init__", "record", "values", "test_recorded")


def families() -> list[str]:
    """The names of all families."""
    names = {file.stem for file in Path(__file__).parent.glob("*.py")}
    return sorted(names.difference(NO_FAMILIES))


def recorded(family: str, torch: Any, every: int = 1) -> dict[str, Any]:
    """What PyTorch gives now, for every case or each so many.

    Args:
        family: its name.
        torch: PyTorch.
        every: 1 for all cases, 3 for each third.
    """
    torch.set_num_threads(1)
    results = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, case in list(cases(family, torch).items())[::every]:
            results[name] = case()
    # as it comes back from the file
    again: dict[str, Any] = json.loads(json.dumps(results))
    return again


def write(family: str, torch: Any) -> int:
    """Records a family's file. Returns its size in bytes."""
    lines = json.dumps(recorded(family, torch), indent=0, separators=(",", ":"))
    target = path(family)
    target.parent.mkdir(exist_ok=True)
    unfinished = target.with_suffix(f".{os.getpid()}")
    unfinished.write_bytes(gzip.compress(lines.encode(), 9, mtime=0))
    unfinished.replace(target)
    return target.stat().st_size


def main(names: list[str]) -> None:
    """Records the families named, or all."""
    import torch

    if not torch.__version__.startswith(f"{VERSION}."):
        raise SystemExit(f"golden files are those of PyTorch {VERSION}, not {torch.__version__}")
    for family in names or families():
        print(f"{family}: {write(family, torch)} bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
