"""From LLVM IR to addresses of native functions, each compiled once for this processor.

Object code is kept in memory and on disk. llvmlite is imported when something is first compiled or
loaded, so that importing fakel stays quick.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import platform
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from fakel.runtime.cache import DiskCache, cache_folder

_MATHEMATICS = ("libm.so.6", "libm.dylib", "libm.so")

_lock = threading.RLock()
_libraries: dict[str, Library] = {}


class Library:
    """The loaded object code of one LLVM module, for as long as the process lives.

    Args:
        digest: of the key that identifies the module.
        code: the content of its object file.
    """

    def __init__(self, digest: str, code: bytes):
        self.digest = digest
        self.code = code
        self._trackers: list[Any] = []  # LLVM unloads the code when one of them goes
        self._addresses: dict[str, int] = {}

    def address(self, function: str) -> int:
        """The address of a function of the module.

        Raises:
            RuntimeError: the module has no such function, or calls one that the process lacks.
        """
        known = self._addresses.get(function)
        if known is not None:
            return known
        with _lock:
            if self._trackers:
                tracker = _jit().lookup(self._trackers[0].name, function)
            else:
                tracker = _link(self.code, function)
            self._trackers.append(tracker)
            self._addresses[function] = tracker[function]
            return self._addresses[function]


def compile_kernel(name: str, ir_text: Callable[[], str] | str, key: str) -> int:
    """The address of the native function `name` of a module.

    Args:
        name: the function.
        ir_text: the module, or what makes its text (called only when nothing compiled is at hand).
        key: identifies the content of the module: equal keys mean equal modules.

    Raises:
        RuntimeError: LLVM refuses the text, or the module has no such function.
    """
    return load_library(ir_text, key).address(name)


def load_library(ir_text: Callable[[], str] | str, key: str, vectorize: bool = True) -> Library:
    """The module of this key: from memory, from disk, or compiled now.

    Args:
        ir_text: the module, or what makes its text.
        key: identifies its content.
        vectorize: see `object_code`; the same for the same key.
    """
    digest = hashlib.sha256(key.encode()).hexdigest()
    library = _libraries.get(digest)
    if library is not None:
        return library
    with _lock:
        library = _libraries.get(digest)
        if library is None:
            code = _object_code_of(ir_text, digest, vectorize)
            library = _libraries[digest] = Library(digest, code)
        return library


def adopt_library(digest: str, code: bytes) -> Library:
    """The module of this digest, of whose object code a copy is at hand."""
    with _lock:
        library = _libraries.get(digest)
        if library is None:
            library = _libraries[digest] = Library(digest, code)
        return library


def kept(key: str) -> bytes | None:
    """What was kept under this key by the same fakel on the same processor; None for nothing."""
    return kernel_cache().read(f"{_fingerprint()}\n{key}")


def keep(key: str, content: bytes) -> None:
    """Keeps something from run to run, for this fakel on this processor."""
    kernel_cache().write(f"{_fingerprint()}\n{key}", content)


def kernel_cache() -> DiskCache:
    """Where object code is kept between runs."""
    return _cache_in(cache_folder() / "kernels")


def object_code(ir_text: str, vectorize: bool = True) -> bytes:
    """Optimises a module for this processor and returns the content of its object file.

    Args:
        ir_text: the module in LLVM's text form; its target triple, if any, is replaced.
        vectorize: whether LLVM shall look for loops that it can vectorise. What is already written
            in vectors only needs its functions simplified and loops unrolled, which takes half as
            long.

    Raises:
        RuntimeError: the text is not valid.
    """
    import llvmlite.binding as llvm

    machine = _target_machine()
    module = llvm.parse_assembly(ir_text)
    module.triple = machine.triple
    module.data_layout = str(machine.target_data)
    module.verify()
    options = llvm.create_pipeline_tuning_options(speed_level=3 if vectorize else 1)
    options.loop_vectorization = options.slp_vectorization = vectorize
    options.loop_unrolling = True
    passes = llvm.create_pass_builder(machine, options)
    if vectorize:
        passes.getModulePassManager().run(module, passes)
    else:
        simplification = passes.getFunctionPassManager()
        simplification.add_loop_unroll_pass()
        for function in module.functions:
            if not function.is_declaration:
                simplification.run(function, passes)
    return bytes(machine.emit_object(module))


def fingerprint() -> str:
    """What object code depends on beside its module: processor, LLVM, and fakel itself."""
    import llvmlite
    import llvmlite.binding as llvm

    _initialise()
    name, features = processor()
    return "\n".join(
        (
            llvm.get_process_triple(),
            name,
            features,
            llvmlite.__version__,
            ".".join(map(str, llvm.llvm_version_info)),
            _sources(),
        )
    )


def processor() -> tuple[str, str]:
    """LLVM's name for this processor, and its features as LLVM lists them."""
    import llvmlite.binding as llvm

    try:
        features = llvm.get_host_cpu_features().flatten()
    except RuntimeError:  # LLVM cannot tell on this system: the name alone decides
        features = ""
    return llvm.get_host_cpu_name(), features


def _object_code_of(ir_text: Callable[[], str] | str, digest: str, vectorize: bool) -> bytes:
    code = kept(digest)
    if code is None:
        code = object_code(ir_text if isinstance(ir_text, str) else ir_text(), vectorize)
        keep(digest, code)
    return code


def _link(code: bytes, function: str) -> Any:
    """Loads object code; what comes back knows the function's address and keeps the code loaded."""
    import llvmlite.binding as llvm

    builder = llvm.JITLibraryBuilder().add_object_img(code).add_current_process()
    return builder.export_symbol(function).link(_jit(), f"fakel.{next(_numbers)}")


_numbers = itertools.count()
_fingerprint = cache(fingerprint)


@cache
def _cache_in(folder: Path) -> DiskCache:
    return DiskCache(folder)


@cache
def _sources() -> str:
    """A checksum of the files that decide what modules look like: more than fakel's version."""
    package = Path(__file__).parent.parent
    found = hashlib.sha256()
    for folder in ("runtime", "compiler"):
        for path in sorted((package / folder).rglob("*.py")):
            found.update(hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()


@cache
def _initialise() -> None:
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    # usually Python itself has brought the mathematical functions into the process
    for name in _MATHEMATICS:
        if llvm.address_of_symbol("expf") is not None:
            return
        try:
            llvm.load_library_permanently(name)
        except RuntimeError:
            continue


@cache
def _target_machine() -> Any:
    """The machine that object code is made for, to be used by one thread at a time."""
    return _new_target_machine()


def _new_target_machine() -> Any:
    import llvmlite.binding as llvm

    _initialise()
    name, features = processor()
    target = llvm.Target.from_triple(llvm.get_process_triple())
    return target.create_target_machine(
        cpu=name, features=features, opt=3, codemodel="jitdefault", jit=True
    )


@cache
def _jit() -> Any:
    import llvmlite.binding as llvm

    # the older linker may place code and data too far apart for Arm's short branches
    arm = platform.machine().lower() in ("arm64", "aarch64")
    return llvm.create_lljit_compiler(_new_target_machine(), use_jit_link=arm)


def _forget_lock() -> None:
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    # no other thread is compiling at a fork, so that the child finds LLVM at rest
    os.register_at_fork(
        before=lambda: _lock.acquire(),
        after_in_parent=lambda: _lock.release(),
        after_in_child=_forget_lock,
    )
