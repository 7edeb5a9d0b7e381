"""Writes fakel/ops/signatures.txt from PyTorch: the signatures by which its C++ functions know
their arguments, of the functions that fakel has.

    python scripts/record_signatures.py

The lines stand in PyTorch's library as they are. Which of them belong to a function, and in which
order, its messages tell: fakel's messages from the lines chosen have to be the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

import fakel
from fakel.ops import refusals, signatures
from fakel.ops.declare import FUNCTIONS

TARGET = Path(signatures.__file__).with_suffix(".txt")
LINE = re.compile(rb"(?<=\x00)([a-z_]\w*)\([^\x00\n]*\)(?:\|deprecated|\|hidden)*(?=\x00)")
HEADER = """\
# PyTorch 2.13's signatures, written by scripts/record_signatures.py: below [namespace], a line for
# each form of a function, after its name where the form has another.
# BSD-3-Clause, Copyright (c) the PyTorch contributors.
"""


class Unknown:
    """An argument that nothing takes."""


def library_lines() -> dict[str, list[str]]:
    """All signatures in the library, by the name that stands in them."""
    library = Path(torch._C.__file__).parent / "lib" / "libtorch_python.so"
    found: dict[str, list[str]] = {}
    for match in sorted({m.group(0).decode() for m in LINE.finditer(library.read_bytes())}):
        found.setdefault(match.partition("(")[0], []).append(match)
    return found


def written_in_c(function: Any) -> bool:
    """Whether Python shows no signature of its own."""
    return type(function).__name__ in ("builtin_function_or_method", "method_descriptor")


def functions() -> Iterator[tuple[str, str, Any, bool]]:
    """Namespace, name, PyTorch's function, and whether it is a method."""
    for namespace in ("", "nn.functional", "linalg", "fft", "special"):
        module = torch
        for part in filter(None, namespace.split(".")):
            module = getattr(module, part)
        for name in sorted(FUNCTIONS.get(namespace, {})):
            function = getattr(module, name, None)
            if written_in_c(function):
                yield namespace or "torch", name, function, False
        if not namespace:
            yield "torch", "Tensor", torch.Tensor, False
    for name in sorted({name for name, _ in refusals._HANDED_ON.values()}):
        yield "inside", name, getattr(torch._C._nn, name, None) or getattr(torch, name), False
    for name in sorted(dir(fakel.Tensor)):
        method = getattr(torch.Tensor, name, None)
        if written_in_c(method) and not name.startswith("__"):
            yield "Tensor", name, method, True


def message(function: Any, method: bool, args: list[Any], kwargs: dict[str, Any]) -> str:
    """PyTorch's words for a wrong call, "" when there are none."""
    try:
        function(*([torch.ones(2)] if method else []), *args, **kwargs)
    except TypeError as error:
        return str(error)
    except Exception:
        pass
    return ""


def from_the_parser(text: str) -> str:
    """The message, if it isn't about a value: `new_tensor` looks into what nothing takes."""
    return text if re.search(r"\(\) (takes|missing|got|received)|\(\): argument", text) else ""


def ours(lines: list[str], args: list[Any], kwargs: dict[str, Any]) -> str:
    """fakel's words, were these the lines."""
    forms = tuple(signatures.Signature(line) for line in lines)
    refusals.signatures = lambda path: forms  # type: ignore[assignment]
    error = refusals.refusal("", tuple(args), kwargs)
    return "" if error is None else str(error)


PROBES: list[tuple[list[Any], dict[str, Any]]] = [
    ([Unknown()] * 60, {}),
    ([], {"unknown": 1}),
    ([Unknown()], {}),
    ([Unknown()] * 2, {}),
]


def choose(lines: list[str], function: Any, method: bool) -> list[str] | None:
    """The lines of one function among all of its name, in order."""
    theirs = [from_the_parser(message(function, method, *probe)) for probe in PROBES]
    listed = re.findall(r"^ \* (.*)$", theirs[0], re.MULTILINE)
    deprecated = [line for line in lines if line.endswith(("|deprecated", "|hidden"))]
    visible = [line for line in lines if line not in deprecated]
    candidates: list[list[str]]
    if listed:
        by_text = {str(signatures.Signature(line)): line for line in visible}
        if any(text not in by_text for text in listed):
            return None
        candidates = [[by_text[text] for text in listed]]
    else:
        candidates = [[line] for line in visible]
    for chosen in candidates:
        old = [
            line
            for line in deprecated
            if ("Tensor input" in line) == any("Tensor input" in form for form in chosen)
        ]
        for several in ([*chosen, *old], chosen) if old else (chosen,):
            if [ours(several, *probe) for probe in PROBES] == theirs:
                return several
    return None


def main() -> None:
    """Writes the file and says which functions have no lines."""
    library = library_lines()
    text, previous, without = HEADER, "", []
    for namespace, name, function, method in functions():
        told = message(function, method, *PROBES[0]).partition("(")[0]
        if told == f"TensorBase.{name}":
            lines = choose([f"{told}()|nothing"], function, method)
        else:
            lines = choose(library.get(told, []), function, method)
        if lines is None:
            without.append(f"{namespace}.{name}")
            continue
        if namespace != previous:
            text, previous = f"{text}\n[{namespace}]\n", namespace
        public = "" if lines[0].startswith(f"{name}(") else f"{name}: "
        text += "".join(f"{public}{line}\n" for line in lines)
    TARGET.write_text(text)
    print(f"no signatures: {', '.join(without)}")


if __name__ == "__main__":
    main()
