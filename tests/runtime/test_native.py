"""Native code from LLVM IR: what it computes, and when it is compiled anew."""

from __future__ import annotations

import ctypes
import json
import math
import os
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest
from llvmlite import ir

from fakel.runtime import cache_folder, compile_kernel, load_library, native

ROOT = Path(__file__).parents[2]
FLOAT = ir.DoubleType()


def module(**functions) -> str:
    """The text of functions of one float64, each given by what emits its result."""
    made = ir.Module("test")
    for name, emit in functions.items():
        function = ir.Function(made, ir.FunctionType(FLOAT, [FLOAT]), name)
        build = ir.IRBuilder(function.append_basic_block("entry"))
        build.ret(emit(build, function.args[0]))
    return str(made)


def call_of(name):
    """Emits a call of a function of the process."""

    def emit(build, value):
        known = build.module.globals.get(name)
        kind = ir.FunctionType(FLOAT, [FLOAT])
        return build.call(known or ir.Function(build.module, kind, name), [value])

    return emit


def doubled(build, value):
    return build.fadd(value, value)


def squared(build, value):
    return build.fmul(value, value)


def call(address, value):
    return ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double)(address)(value)


def never():
    raise AssertionError("compiled again")


def test_kernels_compute():
    address = compile_kernel("doubled", lambda: module(doubled=doubled), "doubled")
    assert call(address, 1.25) == 2.5
    assert compile_kernel("doubled", never, "doubled") == address


def test_kernels_of_one_name_live_side_by_side():
    first = compile_kernel("kernel", module(kernel=doubled), "first")
    second = compile_kernel("kernel", module(kernel=squared), "second")
    assert (call(first, 3), call(second, 3)) == (6, 9)


def test_a_module_of_several_functions():
    library = load_library(module(doubled=doubled, squared=squared), "several")
    for _ in range(2):
        assert call(library.address("squared"), 5) == 25
        assert call(library.address("doubled"), 5) == 10
    with pytest.raises(RuntimeError, match="cubed"):
        library.address("cubed")
    assert call(library.address("squared"), 6) == 36


def test_a_module_that_is_only_simplified_computes_the_same():
    library = load_library(module(doubled=doubled, squared=squared), "simple", vectorize=False)
    assert call(library.address("doubled"), 3) == 6
    assert call(library.address("squared"), 3) == 9


def test_functions_of_the_process_are_found():
    address = compile_kernel("kernel", module(kernel=call_of("exp")), "exp")
    assert call(address, 1.0) == math.e


def test_a_function_that_nobody_has_is_an_error():
    source = module(kernel=call_of("fakel_has_no_such_function"))
    with pytest.raises(RuntimeError, match="Failed to materialize"):
        compile_kernel("kernel", source, "missing")


def test_text_that_is_no_module_is_an_error():
    with pytest.raises(RuntimeError):
        compile_kernel("kernel", "define nonsense", "nonsense")
    good = module(kernel=doubled)
    assert call(compile_kernel("kernel", good, "nonsense"), 2) == 4


def test_python_threads_may_compile_at_once():
    results = {}

    def work(number):
        def emit(build, value):
            return build.fadd(value, FLOAT(number % 8))

        address = compile_kernel("kernel", module(kernel=emit), f"threads {number % 8}")
        results[number] = call(address, 0.5)

    running = [threading.Thread(target=work, args=[number]) for number in range(24)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    assert results == {number: number % 8 + 0.5 for number in range(24)}


SCRIPT = """
    import json, os, sys
    from tests.runtime.test_native import *
    compiled = []
    def text(name):
        compiled.append(name)
        return module(kernel=doubled)
    for name in "abc":
        assert call(compile_kernel("kernel", lambda: text(name), name), 7) == 14
    print(json.dumps(compiled))
"""


def start(folder, script=SCRIPT, before="", **settings):
    environment = {**os.environ, "FAKEL_CACHE": str(folder), **settings}
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", before + textwrap.dedent(script)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def compiled(*arguments, **settings):
    """The kernels that a process had to compile."""
    process = start(*arguments, **settings)
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")
    return json.loads(output)


def test_other_processes_need_not_compile(tmp_path):
    assert compiled(tmp_path) == ["a", "b", "c"]
    assert compiled(tmp_path) == []
    entry = sorted((tmp_path / "kernels").iterdir())[1]
    entry.write_bytes(entry.read_bytes()[:-100])
    assert len(compiled(tmp_path)) == 1
    assert compiled(tmp_path) == []


def test_another_processor_needs_code_of_its_own(tmp_path):
    other = textwrap.dedent("""
        from fakel.runtime import native
        native.processor = lambda name=native.processor()[0]: (name, "")
    """)
    assert compiled(tmp_path) == ["a", "b", "c"]
    assert compiled(tmp_path, SCRIPT, other) == ["a", "b", "c"]
    assert compiled(tmp_path) == compiled(tmp_path, SCRIPT, other) == []


def test_processes_that_compile_at_once(tmp_path):
    running = [start(tmp_path) for _ in range(4)]
    for process in running:
        _, errors = process.communicate(timeout=60)
        assert (process.returncode, errors) == (0, "")
    assert compiled(tmp_path) == []
    assert {path.suffix for path in (tmp_path / "kernels").iterdir()} == {".entry"}


def test_without_a_cache_folder(tmp_path):
    obstacle = tmp_path / "file"
    obstacle.write_text("no folder")
    assert compiled(obstacle) == compiled(obstacle) == ["a", "b", "c"]
    nowhere = "import os; os.environ.pop('FAKEL_CACHE'); os.environ.pop('HOME', None)\n"
    assert compiled(tmp_path, SCRIPT, nowhere, XDG_CACHE_HOME="/proc/none") == ["a", "b", "c"]


def test_the_cache_is_that_of_the_commands():
    assert native.kernel_cache().folder == cache_folder() / "kernels"


def test_importing_fakel_leaves_llvm_alone():
    source = "import sys, fakel; print('llvmlite' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", source], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "False\n"
