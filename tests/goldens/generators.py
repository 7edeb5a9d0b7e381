"""Generators: seeds, states as bytes, copies, and the functions around the default one."""

from __future__ import annotations

import base64
import copy
import io
import pickle
import zlib
from collections.abc import Callable
from typing import Any

# what is drawn before a state is taken: nothing, within a block, a pending second normal number, …
BEFORE = (
    "None",
    "torch.rand(1)",
    "torch.rand(623)",
    "torch.rand(624)",
    "torch.rand(1000)",
    "torch.randn(1)",
    "torch.randn(3)",
    "torch.randn(16)",
    "torch.randn(15, dtype=torch.float64)",
    "torch.randperm(100)",
    "torch.randint(2**40, (7,))",
    "torch.empty(40).bernoulli_(0.5)",
)
WHOLE = ("torch.rand(1000)", "torch.randn(3)")  # whose states are kept byte by byte
SEEDS = (0, 1, 42, -1, -(2**63), 2**31, 2**32, 2**32 + 42, 2**40, 2**63, 2**64 - 1)

EXPRESSIONS = (
    "torch.initial_seed()",
    "torch.manual_seed(3).initial_seed()",
    "torch.manual_seed(-3).initial_seed()",
    "torch.manual_seed(2**64 - 1).initial_seed()",
    "torch.manual_seed(3) is torch.default_generator",
    "torch.manual_seed(3.7).initial_seed()",
    "str(torch.Generator().device)",
    "str(torch.Generator('cpu').device)",
    "torch.Generator().initial_seed()",
    "torch.Generator().manual_seed(5).initial_seed()",
    "torch.Generator().get_state().tolist()[:24]",
    "list(torch.get_rng_state().shape), str(torch.get_rng_state().dtype)",
    "torch.random.initial_seed()",
    "torch.random.get_rng_state().tolist()[:40]",
    "torch.random.default_generator is torch.default_generator",
    "torch.cuda.manual_seed(3), torch.rand(2).tolist()",
    "torch.cuda.manual_seed_all(3), torch.rand(2).tolist()",
    "torch.cuda.is_available()",
    "type(torch.seed()).__name__, type(torch.Generator().seed()).__name__",
)
SCRIPTS = {
    "fork_rng": """
        with torch.random.fork_rng():
            torch.manual_seed(3)
            give(torch.rand(2))
        give(torch.rand(2))
    """,
    "fork_rng of no devices": """
        with torch.random.fork_rng(devices=[], enabled=True):
            give(torch.randn(3))
        give(torch.randn(3))
    """,
    "fork_rng not enabled": """
        with torch.random.fork_rng(enabled=False):
            give(torch.randn(3))
        give(torch.randn(3))
    """,
    "fork_rng as a decorator": """
        @torch.random.fork_rng()
        def draw():
            return torch.randn(3)
        give(draw())
        give(torch.randn(3))
    """,
    "fork_rng after an error": """
        try:
            with torch.random.fork_rng():
                torch.rand(5)
                raise KeyError
        except KeyError:
            give(torch.rand(2))
    """,
    "state in the middle of a block": """
        torch.rand(100)
        state = torch.get_rng_state()
        give(torch.rand(3))
        torch.rand(1000)
        torch.set_rng_state(state)
        give(torch.rand(3))
    """,
    "state with a pending normal number": """
        torch.randn(3)
        state = torch.get_rng_state()
        give(torch.randn(2))
        torch.manual_seed(4)
        give(torch.randn(1))
        torch.set_rng_state(state)
        give(torch.randn(2))
    """,
    "seeding forgets the pending normal number": """
        torch.randn(3)
        torch.manual_seed(4)
        give(torch.randn(1))
    """,
    "uniform numbers keep the pending normal number": """
        torch.randn(1)
        give(torch.rand(2))
        give(torch.randn(1))
        give(torch.randn(16))
    """,
    "copies": """
        source = torch.Generator().manual_seed(8)
        torch.randn(3, generator=source)
        clones = [source.clone_state(), copy.deepcopy(source), pickle.loads(pickle.dumps(source))]
        for clone in clones:
            give(torch.randn(2, generator=clone))
            give(clone.initial_seed())
        give(torch.randn(2, generator=source))
    """,
    "a state from one generator to another": """
        source = torch.Generator().manual_seed(8)
        torch.rand(700, generator=source)
        torch.set_rng_state(source.get_state())
        give(torch.rand(2), torch.initial_seed())
        other = torch.Generator()
        give(other.set_state(torch.get_rng_state()) is other)
        give(torch.rand(2, generator=other))
    """,
    "saved and loaded": """
        torch.rand(7)
        file = io.BytesIO()
        torch.save({'rng': torch.get_rng_state()}, file)
        give(torch.rand(2))
        torch.set_rng_state(torch.load(io.BytesIO(file.getvalue()))['rng'])
        give(torch.rand(2))
    """,
}


def seeded(torch: Any, seed: int) -> dict[str, Any]:
    """The seed as the generator gives it back, and its first numbers."""
    torch.manual_seed(seed)
    return {"seed": torch.initial_seed(), "numbers": torch.rand(3).tolist(), "state": state(torch)}


def state(torch: Any) -> int:
    """A checksum of the default generator's state."""
    return zlib.crc32(torch.get_rng_state().numpy().tobytes())


def saved(torch: Any, before: str) -> dict[str, Any]:
    """The bytes of a state and what is drawn from it, to go on from elsewhere.

    The state is kept as its bytes from 0 to 24, its last 48, and a checksum of the words between.
    """
    torch.manual_seed(42)
    eval(before, {"torch": torch})
    content = torch.get_rng_state().tolist()
    return {
        "front": content[:24],
        "back": content[-48:],
        "state": state(torch),
        "numbers": [*torch.randn(3).tolist(), *torch.rand(700)[-3:].tolist()],
        "after": state(torch),
    }


def whole(torch: Any, before: str) -> str:
    """The bytes of a state, in base 64."""
    torch.manual_seed(42)
    eval(before, {"torch": torch})
    return base64.b64encode(torch.get_rng_state().numpy().tobytes()).decode()


def given(torch: Any, script: str) -> list[Any]:
    """What a script gives."""
    results: list[Any] = []

    def give(*values: Any) -> None:
        results.extend(v.tolist() if isinstance(v, torch.Tensor) else v for v in values)

    torch.manual_seed(1)
    lines = script.splitlines()[1:]
    source = "\n".join(line[8:] for line in lines)
    exec(source, {"torch": torch, "give": give, "copy": copy, "pickle": pickle, "io": io})
    return [*results, state(torch)]


def evaluated(torch: Any, expression: str) -> Any:
    """What an expression gives after seeding."""
    torch.manual_seed(1)
    return eval(expression, {"torch": torch})


def cases(torch: Any) -> dict[str, Callable[[], Any]]:
    """All of them."""
    table: dict[str, Callable[[], Any]] = {}
    for seed in SEEDS:
        table[f"seed {seed}"] = lambda seed=seed: seeded(torch, seed)
    for before in BEFORE:
        table[f"state after {before}"] = lambda before=before: saved(torch, before)
    for before in WHOLE:
        table[f"bytes after {before}"] = lambda before=before: whole(torch, before)
    for each in EXPRESSIONS:
        table[each] = lambda each=each: evaluated(torch, each)
    for name, script in SCRIPTS.items():
        table[name] = lambda script=script: given(torch, script)
    return table
