"""Runs tensor programs given as source text under one executor or another, and compares."""

from __future__ import annotations

import contextlib
import linecache
import warnings
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import fakel
from fakel.compiler.driver import compile_program
from fakel.compiler.executor import Compiler
from fakel.compiler.loop_ir import target
from fakel.compiler.planning.lowering import Interpreted
from fakel.compiler.structure import structure
from fakel.graph import flush, use_executor
from fakel.interpreter import Interpreter
from tests.support.rounding import RUNS, Noisy, disagreement

KINDS = ("normal", "positive", "ties", "special", "large", "tiny", "constant")
SPECIAL = (np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-40, -1e-40, 1e30, -1e30, 1.0)


def values(dtype: str, shape: tuple[int, ...], kind: str, seed: int) -> np.ndarray:
    """Numbers of a kind, the same for the same seed; halves and bfloat16 as float32."""
    random = np.random.default_rng(seed)
    if kind == "mixed":  # each row of another kind
        rows = [values(dtype, shape[1:], KINDS[i % len(KINDS)], seed + i) for i in range(shape[0])]
        return np.stack(rows)
    if dtype == "bool":
        return np.asarray(random.random(shape) < 0.5)
    if not dtype.startswith(("float", "bfloat")):
        low, high = (0, 200) if dtype == "uint8" else (-9, 10)
        return np.asarray(random.integers(low, high, shape)).astype(dtype)
    made = np.asarray(random.standard_normal(shape))
    if kind == "positive":
        made = np.abs(made) + 0.1
    elif kind == "ties":
        made = np.asarray(random.integers(-2, 3, shape), float)
    elif kind == "special":
        made = np.where(random.random(shape) < 0.2, random.choice(SPECIAL, shape), made)
    elif kind == "large":
        made = made * 1e15
    elif kind == "tiny":
        made = made * 1e-39
    elif kind == "constant":
        made = np.full(shape, random.integers(-3, 4) / 2)
    return np.asarray(made).astype("float64" if dtype == "float64" else "float32")


@dataclass
class Look:
    """What a program looked at once."""

    line: str
    dtype: str
    array: np.ndarray


@dataclass
class Session:
    """The names that a program sees, and what it looked at."""

    looks: list[Look] = field(default_factory=list)
    tensors: list[tuple[Any, int, np.ndarray]] = field(default_factory=list)
    functions: list[Any] = field(default_factory=list)

    def replay(self, replays: bool) -> Any:
        """What compiles functions, or leaves them as they are."""

        def compiled(function: Any) -> Any:
            self.functions.append(fakel.compile(function))
            return self.functions[-1]

        return compiled if replays else lambda function: function

    def names(self) -> dict[str, Any]:
        """What the source text may use."""
        return {
            "torch": fakel,
            "nn": fakel.nn,
            "F": fakel.nn.functional,
            "data": self.data,
            "parameter": self.parameter,
            "indices": self.indices,
            "look": self.look,
        }

    @staticmethod
    def data(dtype: str, shape: tuple[int, ...], kind: str = "normal", seed: int = 0):
        """A tensor of numbers of a kind."""
        made = fakel.tensor(values(dtype, shape, kind, seed))
        return made.to(getattr(fakel, dtype))

    @staticmethod
    def parameter(dtype: str, shape: tuple[int, ...], kind: str = "normal", seed: int = 0):
        """A leaf that wants a gradient."""
        return Session.data(dtype, shape, kind, seed).requires_grad_()

    @staticmethod
    def indices(low: int, high: int, shape: tuple[int, ...], seed: int = 0, dtype="int64"):
        """Integers from low up to high, without it."""
        drawn = np.random.default_rng(seed).integers(low, high, shape)
        return fakel.tensor(np.asarray(drawn).astype(dtype))

    def look(self, **tensors: Any) -> None:
        """Computes what is pending, and notes the values of tensors."""
        flush()
        for name, tensor in tensors.items():
            if tensor is None:
                continue
            shown = tensor.detach()
            dtype = str(shown.dtype).split(".")[-1]
            shown = shown.float() if dtype == "bfloat16" else shown
            array = shown.numpy().copy()
            self.looks.append(Look(name, dtype, array))
            self.tensors.append((tensor, tensor._version, array))


def execute(source: str, executor: Any, threads: int = 1) -> Session:
    """Runs source text; everything is compiled by, or runs on, this executor."""
    session = Session()
    names = session.names() | {"replay": session.replay(isinstance(executor, Compiler))}
    linecache.cache["<program>"] = (len(source), None, source.splitlines(True), "<program>")
    code = compile(source, "<program>", "exec")
    flush()
    before, before_threads = use_executor(executor), fakel.get_num_threads()
    if threads != before_threads:
        fakel.set_num_threads(threads)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.filterwarnings("error", "fakel could not compile")
            exec(code, names)
            if isinstance(executor, StrictCompiler):
                for function in session.functions:
                    executor.counts["replayed functions"] += function._compiled.count
            names.clear()
            flush()
    finally:
        use_executor(before)
        if threads != before_threads:
            fakel.set_num_threads(before_threads)
    return session


class Planning(Interpreter):
    """The interpreter, which also compiles what it is given, so that others need not."""

    def __init__(self) -> None:
        super().__init__()
        self.compiled: dict[Any, Any] = {}

    def run(self, program):
        found = structure(program)
        if found is not None and found[0] not in self.compiled:
            # what cannot be compiled fails where it is run
            with contextlib.suppress(Exception):
                self.compiled[found[0]] = compile_program(program, found[1], found[0][1])
        # the interpreter writes in place what only the program refers to
        del found
        super().run(program)


class StrictCompiler(Compiler):
    """Compiles everything, leaves nothing to the interpreter when something fails, and counts.

    Args:
        make: makes of a compiled program the one that is run.
    """

    def __init__(self, make: Any = None) -> None:
        super().__init__(eager=True)
        self.counts: Counter[str] = Counter()
        self.make = make
        self.compiled: dict[Any, Any] = {}
        self.failure: BaseException | None = None

    def start(self, compiled: dict[Any, Any]) -> None:
        """Forgets all programs but these compiled ones, by their keys."""
        self.programs.clear()
        self.compiled = compiled

    def _compile(self, program, leaves, key):
        made = self.compiled.get(key)
        if made is None:
            made = self.compiled[key] = compile_program(program, leaves, key[1])
        if self.make is not None:
            made = self.make(made)
        self.counts["compiled programs"] += 1
        self.counts["nodes"] += len(program)
        for step in made.steps:
            kind = "interpreted steps" if isinstance(step, Interpreted) else "kernel calls"
            self.counts[kind] += 1
        return _Watched(made, self)

    def run(self, program):
        super().run(program)
        if self.failure is not None:
            failure, self.failure = self.failure, None
            raise failure


class _Watched:
    """A compiled program that tells when it fails, which the executor would hide."""

    def __init__(self, program: Any, compiler: StrictCompiler) -> None:
        self.program, self.compiler = program, compiler

    def __getattr__(self, name: str) -> Any:
        return getattr(self.program, name)

    def run(self, *arguments: Any) -> Any:
        self.compiler.counts["runs"] += 1
        try:
            return self.program.run(*arguments)
        except Exception as error:
            self.compiler.failure = error
            raise


def expectations(source: str, interpreter: Any = None, threads: int = 1) -> Any:
    """What the interpreter says, and what it says with rounding errors."""
    plain = execute(source, interpreter or Interpreter(), threads)
    noisy = [execute(source, Noisy(seed)) for seed in range(RUNS)]
    return [
        (look, [run.looks[number].array for run in noisy])
        for number, look in enumerate(plain.looks)
    ]


def check(source: str, expected: Any = None, compiler: Any = None, threads: int = 1) -> None:
    """Compares a program's compiled results with the interpreter's.

    Raises:
        AssertionError: when they differ; when a result changed after it
            was looked at; when a second run of the compiled programs gives other bits.
    """
    expected = expected or expectations(source)
    compiler = compiler or StrictCompiler()
    try:
        first = execute(source, compiler, threads)
        again = execute(source, compiler, threads)
    except Exception as error:
        raise AssertionError(f"{type(error).__name__}: {error}") from error
    for number, ((look, noisy), found) in enumerate(zip(expected, first.looks, strict=True)):
        wrong = disagreement(found.array, look.array, noisy, look.dtype)
        if wrong:
            raise AssertionError(f"look {number}, {look.line}: {wrong}")
        if found.array.tobytes() != again.looks[number].array.tobytes():
            raise AssertionError(f"look {number}, {look.line}: differs from run to run")
    for tensor, version, array in first.tensors:
        if tensor._version != version:
            continue
        shown = tensor.detach()
        shown = shown.float() if shown.dtype == fakel.bfloat16 else shown
        if shown.numpy().tobytes() != array.tobytes():
            raise AssertionError("a result changed after it was looked at")


@contextlib.contextmanager
def written_for(name: str):
    """Kernels are written for another processor; "host" changes nothing."""
    if name == "host":
        yield
        return
    with target.override(getattr(target, name)):
        yield
