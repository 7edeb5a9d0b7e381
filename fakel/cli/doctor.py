"""`fakel doctor`: what fakel finds on this machine, for reports of problems."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
from pathlib import Path

import numpy as np

from fakel.runtime import available_processors, cache_folder

# instruction sets that matter for speed, narrowest first
_FEATURES = ("sse4.2", "avx", "fma", "avx2", "avx512f", "neon", "sve")


def report() -> str:
    """The lines that `fakel doctor` prints."""
    rows = [
        ("fakel", _version("fakel")),
        ("follows", "PyTorch 2.13, torchvision 0.28"),
        (
            "Python",
            f"{platform.python_version()} ({platform.python_implementation()}), {sys.executable}",
        ),
        ("NumPy", np.__version__),
        (
            "llvmlite",
            _llvm(),
        ),
        ("system", platform.platform()),
        ("processor", processor()),
        ("features", ", ".join(features()) or "none of " + ", ".join(_FEATURES)),
        ("threads", f"{available_processors()} usable of {os.cpu_count()}, {_thread_settings()}"),
        ("cache", _cache_state(cache_folder())),
        (
            "optional",
            ", ".join(f"{name} {_version(name)}" for name in ("pillow", "matplotlib", "tqdm")),
        ),
        ("PyTorch", _version("torch") + " (not used)"),
        ("settings", _settings()),
    ]
    return "\n".join(f"{name + ':':<11}{value}" for name, value in rows)


def _llvm() -> str:
    import llvmlite.binding  # slow to load, and only needed here

    numbers = ".".join(map(str, llvmlite.binding.llvm_version_info))
    return f"{_version('llvmlite')}, LLVM {numbers}"


def processor() -> str:
    """The processor's name."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def features() -> list[str]:
    """The vector instruction sets that this processor has."""
    import llvmlite.binding

    present = llvmlite.binding.get_host_cpu_features()
    return [name for name in _FEATURES if present.get(name)]


def _cache_state(folder: Path) -> str:
    if not folder.is_dir():
        return f"{folder} (empty)"
    sizes = [file.stat().st_size for file in folder.rglob("*") if file.is_file()]
    return f"{folder} ({len(sizes)} files, {sum(sizes) / 2**20:.1f} MiB)"


def _thread_settings() -> str:
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    given = [f"{name}={os.environ[name]}" for name in names if name in os.environ]
    return ", ".join(given) or "no limit set"


def _settings() -> str:
    given = [
        f"{name}={value}" for name, value in sorted(os.environ.items()) if name.startswith("FAKEL_")
    ]
    return ", ".join(given) or "none"


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
