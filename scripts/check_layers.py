"""Checks the order of the layers inside fakel: a later one may import an earlier one only.

Imports inside functions count too, so that no cycle hides in them; those made for type checkers
alone don't.

    python scripts/check_layers.py
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LAYERS = (
    "runtime",
    "interpreter",
    "graph",
    "tensor",
    "compiler",
    "profiler",
    "autograd",
    "recall",
    "ops",
    "nn",
    "optim",
    "serialization",
    "utils",
    "vision",
    "distributions",
    "signal",
    "amp",
    "cuda",
    "backends",
    "accelerator",
    "compat",
    "cli",
)


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and full name of all that is imported, functions included, type checking left out."""
    pending: list[ast.AST] = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            pending.extend(node.orelse)
            continue
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)
        pending.extend(ast.iter_child_nodes(node))


def violations(source: str, path: str) -> Iterator[str]:
    """Imports against the order in the file at `path`, such as fakel/ops/joining.py."""
    layer = Path(path).parts[1]
    if layer.endswith(".py"):  # the surface: re-exports from every layer
        return
    if layer not in LAYERS:
        yield f"{path}: {layer} is in no layer; give it its place in scripts/check_layers.py"
        return
    for line, name in imports(ast.parse(source)):
        parts = name.split(".")
        if parts[0] != "fakel":
            continue
        if len(parts) < 2 or parts[1] not in LAYERS:
            yield f"{path}:{line}: imports {name} from the package's own surface"
        elif LAYERS.index(parts[1]) > LAYERS.index(layer):
            yield f"{path}:{line}: {layer} comes before {parts[1]}, it cannot import {name}"


def main() -> int:
    found = [
        problem
        for file in sorted((ROOT / "fakel").rglob("*.py"))
        for problem in violations(file.read_text(), str(file.relative_to(ROOT)))
    ]
    print("\n".join(found) or "layers: in order")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
