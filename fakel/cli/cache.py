"""`fakel cache`: where compiled kernels are kept, how many, and `fakel cache clear`."""

from __future__ import annotations

from fakel.runtime.cache import Usage
from fakel.runtime.native import kernel_cache


def report() -> str:
    """The lines that `fakel cache` prints."""
    kept = kernel_cache()
    usage = kept.usage()
    rows = [
        ("folder", str(kept.folder)),
        ("entries", str(usage.entries)),
        ("size", f"{_mebibytes(usage)}, at most {kept.limit // 2**20} MiB"),
    ]
    return "\n".join(f"{name + ':':<9}{value}" for name, value in rows)


def clear() -> str:
    """Removes all entries; the line that `fakel cache clear` prints."""
    kept = kernel_cache()
    removed = kept.clear()
    return f"removed {removed.entries} entries ({_mebibytes(removed)}) from {kept.folder}"


def _mebibytes(usage: Usage) -> str:
    return f"{usage.size / 2**20:.1f} MiB"
