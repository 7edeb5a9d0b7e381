"""Whole programs kept from run to run: an image and its kernels' code in one file.

A process that meets a structure that an earlier one has compiled plans and compiles nothing.
"""

from __future__ import annotations

import marshal
import re
import sys
from typing import Any

from fakel.compiler.program import Image, Program, Row
from fakel.runtime import native
from fakel.runtime.threads import get_num_threads
from fakel.runtime.trace import Label

# what Python prints of an object that does not say what it is
_NAMELESS = re.compile(r" at 0x[0-9a-f]+")


def load(key: Any) -> Program | None:
    """The program of a structure, if an earlier process kept it.

    Args:
        key: see `structure`.
    """
    text = _text(key)
    content = None if text is None else native.kept(text)
    if content is None:
        return None
    rows, fields, code = marshal.loads(content)
    made = tuple(Row(*row[:3], Label(*row[3])) for row in rows)
    libraries = [native.adopt_library(digest, each) for digest, each in code]
    return Program(Image(rows=made, **fields), libraries)


def keep(key: Any, program: Program) -> None:
    """Keeps a program that is native from end to end.

    Args:
        key: see `structure`.
        program: it.
    """
    text = _text(key)
    if text is None:
        return
    fields = dict(vars(program.image))
    rows = [
        (r.kernel, r.flags, r.arguments, tuple(vars(r.label).values())) for r in fields.pop("rows")
    ]
    code = [(library.digest, library.code) for library in program.libraries]
    try:
        content = marshal.dumps((rows, fields, code))
    except ValueError:  # a number of NumPy's, say
        return
    native.keep(text, content)


def _text(key: Any) -> str | None:
    """A structure in words that another process would use too; None where there are none."""
    text = repr(key)
    if _NAMELESS.search(text):
        return None
    # kernels share work among a number of threads, marshalled data is a version of Python's
    return f"program for {get_num_threads()} threads, Python {sys.hexversion:x}\n{text}"
