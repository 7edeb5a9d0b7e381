"""Random tensor programs: source text over the public API, drawn statement by statement.

Every statement is carried out while the program is drawn, which computes nothing but tells shapes
and refuses what is no valid call; so a statement may be wrong now and then.
"""

from __future__ import annotations

import math
import re
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random
from typing import Any

import fakel
from fakel.graph import flush, use_executor
from fakel.interpreter import Interpreter
from tests.support.execution import KINDS, Session

LARGEST = 60_000  # elements of a tensor
SIZES = (0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 64, 65)
FLOATS = ("float32", "float32", "float32", "float64")
INTEGERS = ("int64", "int32", "uint8")
DTYPES = (*FLOATS, *FLOATS, *INTEGERS, "bool", "float16", "bfloat16")
OPTIMIZERS = (
    "torch.optim.SGD({}, lr=0.1)",
    "torch.optim.SGD({}, lr=0.1, momentum=0.9, nesterov=True)",
    "torch.optim.SGD({}, lr=0.1, momentum=0.5, weight_decay=0.01)",
    "torch.optim.Adam({}, lr=0.01)",
    "torch.optim.Adam({}, lr=0.01, amsgrad=True)",
    "torch.optim.AdamW({}, lr=0.01)",
    "torch.optim.RMSprop({}, lr=0.01, momentum=0.1)",
    "torch.optim.Adagrad({}, lr=0.1)",
)

# lines that make what is new each turn, and lines that look at something or reset a gradient
_GIVEN = re.compile(r"t\d+ = (?:data|indices)\(")
_LOOKED_AT = re.compile(r"look\((?:(\w+)=|)|p\d+\.grad ")

ACCEPTED: Counter[str] = Counter()
REFUSED: Counter[str] = Counter()


@dataclass(frozen=True)
class Program:
    """A drawn program: lines before the loop, and the loop's, which any of them may lack.

    ``replayed``: what the loop computes is a function that ``replay`` may replay; it gets what is
    new in each turn, and returns what is looked at.
    """

    before: tuple[str, ...]
    body: tuple[str, ...]
    turns: int = 2
    threads: int = 1
    processor: str = "host"
    replayed: bool = False

    @property
    def text(self) -> str:
        """The program as Python's source text."""
        before, body = self.before, self.body
        if self.replayed:
            before, body = self._with_function()
        lines = [f"    {line}" for line in body]
        return "\n".join((*before, f"for turn in range({self.turns}):", *lines)) + "\n"

    def _with_function(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        given = [line for line in self.body if _GIVEN.match(line)]
        last = [line for line in self.body if _LOOKED_AT.match(line)]
        seed = [line for line in self.body if line.startswith("torch.manual_seed")]
        inner = [
            line
            for line in self.body
            if line not in (*given, *last, *seed) and not line.startswith("del ")
        ]
        arguments = ", ".join(line.split(" = ")[0] for line in given)
        made = {line.split(" = ")[0] for line in inner if " = " in line}
        looked_at = [name for line in last for name in _LOOKED_AT.match(line).groups() if name]
        results = ", ".join(name for name in looked_at if name in made)
        body = [*inner, f"return [{results}]"]
        function = (f"def step({arguments}):", *[f"    {line}" for line in body])
        call = f"[{results}] = step({arguments})"
        return (*self.before, *function, "step = replay(step)"), (*seed, *given, call, *last)

    def __repr__(self) -> str:
        return f"written for {self.processor}, {self.threads} threads\n{self.text}"


def smallest(program: Program, fails: Callable[[Program], bool]) -> Program:
    """The program without all lines that it need not have to fail."""
    for change in ({"processor": "host"}, {"threads": 1}, {"turns": 1}):
        simpler = replace(program, **change)
        if simpler != program and fails(simpler):
            program = simpler
    changed = True
    while changed:
        changed = False
        for part in ("body", "before"):
            for number in reversed(range(len(getattr(program, part)))):
                lines = getattr(program, part)
                shorter = replace(program, **{part: lines[:number] + lines[number + 1 :]})
                if shorter.body and fails(shorter):
                    program, changed = shorter, True
    return program


class Writer:
    """Draws one program."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.before: list[str] = []
        self.body: list[str] = []
        self.parameters: list[str] = []
        self.names: dict[str, Any] = Session().names() | {"turn": 0, "__builtins__": __builtins__}
        self.count = 0

    # ---------------------------------------------------------------- drawing

    def choose(self, options: Any) -> Any:
        """One of several."""
        return self.random.choice(options)

    def number(self, low: int, high: int) -> int:
        """A whole number, low and high included."""
        return self.random.randint(low, max(low, high))

    def chance(self, percent: int) -> bool:
        """True about so often."""
        return self.random.random() * 100 < percent

    def some(self, options: Any, least: int = 0) -> list[Any]:
        """Some of the options, in order."""
        found = [each for each in options if self.chance(50)]
        missing = [each for each in options if each not in found]
        return found + missing[: max(least - len(found), 0)]

    def fresh(self) -> str:
        """A name that is not in use."""
        self.count += 1
        return f"t{self.count}"

    def seed(self) -> int:
        """A seed for the numbers of a new tensor."""
        return self.number(0, 999)

    # ---------------------------------------------------------------- tensors

    def tensors(self, wanted: Callable[[Any], bool] = lambda tensor: True) -> list[str]:
        """The names of tensors there are."""
        return [
            name
            for name, tensor in self.names.items()
            if isinstance(tensor, fakel.Tensor) and wanted(tensor)
        ]

    def shape(self, rank: int | None = None, least: int = 0) -> tuple[int, ...]:
        """A shape; large ones have few dimensions."""
        rank = self.choose((2, 1, 2, 3, 3, 4, 0)) if rank is None else rank
        sizes = [size for size in SIZES if size >= least and (rank < 3 or size < 18)]
        shape = [self.choose(sizes) for _ in range(rank)]
        while math.prod(shape) > LARGEST // 10:
            shape[shape.index(max(shape))] //= 2
        return tuple(shape)

    def pick(
        self, wanted: Callable[[Any], bool] = lambda tensor: True, dtype: str | None = None
    ) -> tuple[str, Any]:
        """A tensor of those there are, or a new one, and its name."""
        kind = None if dtype is None else getattr(fakel, dtype)
        names = self.tensors(lambda tensor: wanted(tensor) and kind in (None, tensor.dtype))
        if not names or self.chance(10):
            name = self.leaf(dtype=dtype)
            names = [name] if wanted(self.names[name]) else names
        name = self.choose(names[::-1]) if names else None
        return name, self.names.get(name)

    def floating(self, wanted: Callable[[Any], bool] = lambda tensor: True) -> tuple[str, Any]:
        """A tensor of floating-point numbers."""
        return self.pick(lambda tensor: tensor.is_floating_point() and wanted(tensor))

    def values(
        self, shape: tuple[int, ...], dtype: str, kind: str | None = None, parameter: bool = False
    ) -> str:
        """An expression for new numbers, which may lie in memory in any way."""
        kind = kind or self.choose(("normal",) * 4 + KINDS)
        maker = "parameter" if parameter else "data"
        seed = self.seed()
        seed_text = str(seed) if parameter else f"{seed} + turn"
        layout = "plain" if parameter else self.choose(("plain",) * 4 + ("turned", "steps", "same"))
        if layout == "turned" and len(shape) > 1:
            order = tuple(range(len(shape)))[::-1]
            return f"{maker}({dtype!r}, {shape[::-1]}, {kind!r}, {seed_text}).permute({order})"
        if layout == "steps" and shape:
            whole = (*shape[:-1], 2 * shape[-1] + 1)
            end = 2 * shape[-1]
            return f"{maker}({dtype!r}, {whole}, {kind!r}, {seed_text})[..., :{end}:2]"
        if layout == "same" and shape:
            dim = self.number(0, len(shape) - 1)
            whole = (*shape[:dim], 1, *shape[dim + 1 :])
            return f"{maker}({dtype!r}, {whole}, {kind!r}, {seed_text}).expand({shape})"
        return f"{maker}({dtype!r}, {shape}, {kind!r}, {seed_text})"

    def leaf(
        self,
        shape: tuple[int, ...] | None = None,
        dtype: str | None = None,
        kind: str | None = None,
    ) -> str:
        """A new tensor: other numbers each turn, or a parameter."""
        shape = self.shape() if shape is None else shape
        dtype = dtype or self.choose(DTYPES)
        parameter = dtype in ("float32", "float64") and self.chance(30)
        text = self.values(shape, dtype, kind, parameter)
        if not parameter:
            name = self.fresh()
            self.add(f"{name} = {text}")
            return name
        name = f"p{len(self.parameters)}"
        self.parameters.append(name)
        self.state(f"{name} = {text}")
        return name

    def like(self, tensor: Any) -> str:
        """A new tensor of a shape that broadcasts with this one."""
        shape = list(tensor.shape)
        for dim in range(len(shape)):
            if self.chance(25):
                shape[dim] = 1
        shape = shape[self.number(0, len(shape)) :] if self.chance(30) else shape
        dtype = str(tensor.dtype).split(".")[-1]
        return self.leaf(tuple(shape), self.choose((dtype, dtype, dtype, *DTYPES)))

    def new(self, tensor: Any, shape: Any, kind: str | None = None) -> str:
        """A new tensor of this shape and another's dtype."""
        return self.leaf(tuple(shape), str(tensor.dtype).split(".")[-1], kind)

    # ---------------------------------------------------------------- statements

    def state(self, line: str) -> None:
        """A line before the loop."""
        exec(line, self.names)
        self.before.append(line)

    def add(self, line: str) -> bool:
        """A line of the loop, if it is valid."""
        known = set(self.names)
        try:
            exec(line, self.names)
            made = [self.names[key] for key in self.names.keys() - known]
            if any(not isinstance(each, fakel.Tensor) or each.numel() > LARGEST for each in made):
                raise ValueError("too large")
        except Exception:
            for key in self.names.keys() - known:
                del self.names[key]
            return False
        self.body.append(line)
        return True

    def result(self, expression: str | None) -> bool:
        """Names the value of an expression, which is None for what was not possible."""
        return expression is not None and self.add(f"{self.fresh()} = {expression}")


def _is_made(name: str) -> bool:
    return name[0] == "t" and name[1:].isdigit()


def _finish(write: Writer) -> list[str]:
    """The end of the loop's body: a loss, gradients, an update, and what is looked at."""
    made = [name for name in write.names if _is_made(name)]
    end = _training(write, made)
    if end is None:
        REFUSED["backward"] += 1
        end = []
    held = write.some(made)
    if not held and not end:
        held = made[-1:]
    lines = end + [f"del {name}" for name in made if name not in held]
    lines += [f"look({name}={name})" for name in held]
    if end:
        lines.append("look(loss=loss.detach())")
        for name in write.parameters:
            lines += [f"look({name}={name})", f"look(gradient={name}.grad)"]
        # gradients are kept for the next turn to add to, or made anew
        reset = write.choose(("{0}.grad = None", "{0}.grad is None or {0}.grad.zero_()", ""))
        lines += [reset.format(name) for name in write.parameters if reset]
    return lines


def _training(write: Writer, made: list[str]) -> list[str] | None:
    """A loss, gradients and an update; None when PyTorch would refuse it."""
    wanted = [name for name in made if write.names[name].requires_grad]
    if not wanted:
        return []
    lines = ["loss = torch.zeros(())"]
    for name in write.some(wanted[::-1], least=1):
        term = write.choose(("({}).mean()", "({}).sum()", "({} * 0.5).sum()", "({} * {}).mean()"))
        lines.append(f"loss = loss + {term.format(name, name)}")
    listed = f"[{', '.join(write.parameters)}]"
    if write.chance(15):
        lines.append(
            "loss = loss + sum((g * g).sum() for g in "
            f"torch.autograd.grad(loss, {listed}, create_graph=True, allow_unused=True)"
            " if g is not None)"
        )
    lines.append("loss.backward()")
    try:
        exec("\n".join(lines), write.names)
    except Exception:
        return None
    if write.chance(75):
        write.before.append(f"optimizer = {write.choose(OPTIMIZERS).format(listed)}")
        return [*lines, "optimizer.step()"]
    lines.append(
        f"with torch.no_grad(): [p.sub_(0.1 * p.grad) for p in {listed} if p.grad is not None]"
    )
    return lines


def drawn(
    random: Random,
    statements: dict[str, Callable[[Writer], Any]],
    most: int = 16,
    replayed: bool = False,
) -> Program:
    """A program of up to ``most`` statements of the given kinds."""
    flush()
    before = use_executor(Interpreter())
    write = Writer(random)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            write.leaf()
            names = sorted(statements)
            for _ in range(write.number(1, most)):
                name = write.choose(names)
                accepted = statements[name](write)
                (ACCEPTED if accepted else REFUSED)[name] += 1
            end = _finish(write)
        finally:
            # nothing refers to what was recorded: it is dropped
            write.names.clear()
            flush()
            use_executor(before)
    return Program(
        tuple(write.before),
        ("torch.manual_seed(turn)", *write.body, *end),
        write.number(2, 3) + 4 * replayed,
        write.choose((1, 1, 1, 2, 3)),
        write.choose(("host", "host", "AVX2", "SSE2", "NEON")),
        replayed,
    )
