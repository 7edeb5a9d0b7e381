"""Gives names to subexpressions that a statement uses more than once, so that they are written and
compiled once.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from fakel.compiler.loop_ir.language import (
    Assign,
    Binary,
    Call,
    Cast,
    Expression,
    Fail,
    For,
    If,
    Kernel,
    Let,
    Literal,
    Load,
    Pick,
    Prefetch,
    Shuffle,
    Statement,
    Store,
    Variable,
)


def name_shared(kernel: Kernel) -> Kernel:
    """The kernel, changed in place: a ``let`` before each statement for what it shares."""
    numbers = itertools.count()
    _block(kernel.body, lambda: f"t{next(numbers)}")
    return kernel


def _block(body: list[Statement], fresh: Callable[[], str]) -> None:
    result: list[Statement] = []
    for statement in body:
        _statement(statement, result, fresh)
        result.append(statement)
    body[:] = result


_EXPRESSIONS: dict[type, tuple[str, ...]] = {
    For: ("start", "stop"),
    If: ("condition",),
    Let: ("value",),
    Assign: ("value",),
    Store: ("index", "value", "active"),
    Prefetch: ("index",),
    Pick: ("index",),
    Fail: ("status",),
}
_CHILDREN: dict[type, tuple[str, ...]] = {
    Load: ("index", "active"),
    Binary: ("left", "right"),
    Shuffle: ("left", "right"),
    Cast: ("value",),
}


def _statement(statement: Any, before: list[Statement], fresh: Callable[[], str]) -> None:
    names = _EXPRESSIONS[type(statement)]
    roots = [value for name in names if isinstance(value := getattr(statement, name), Expression)]
    uses = _uses(roots)
    if any(count > 1 for count in uses.values()):
        known: dict[int, Expression] = {}
        for name in names:
            value = getattr(statement, name)
            if isinstance(value, Expression):
                setattr(statement, name, _rebuilt(value, uses, known, before, fresh))
    if isinstance(statement, (For, If)):
        _block(statement.body, fresh)
    if isinstance(statement, If):
        _block(statement.otherwise, fresh)


def _children(expression: Expression) -> Iterator[Expression]:
    if isinstance(expression, Call):
        yield from expression.arguments
        return
    for name in _CHILDREN.get(type(expression), ()):
        child = getattr(expression, name)
        if isinstance(child, Expression):
            yield child


def _uses(roots: list[Expression]) -> Counter[int]:
    """How often each subexpression that computes something is used."""
    uses: Counter[int] = Counter()
    waiting = list(roots)
    while waiting:
        expression = waiting.pop()
        if isinstance(expression, (Literal, Variable)):
            continue
        uses[id(expression)] += 1
        if uses[id(expression)] == 1:
            waiting.extend(_children(expression))
    return uses


def _rebuilt(
    expression: Expression,
    uses: Counter[int],
    known: dict[int, Expression],
    before: list[Statement],
    fresh: Callable[[], str],
) -> Expression:
    if isinstance(expression, (Literal, Variable)):
        return expression
    found = known.get(id(expression))
    if found is not None:
        return found
    made: Any = expression
    if isinstance(expression, Call):
        arguments = tuple(_rebuilt(a, uses, known, before, fresh) for a in expression.arguments)
        made = replace(expression, arguments=arguments)
    else:
        changed = {
            name: _rebuilt(child, uses, known, before, fresh)
            for name in _CHILDREN[type(expression)]
            if isinstance(child := getattr(expression, name), Expression)
        }
        made = replace(expression, **changed)
    if uses[id(expression)] > 1:
        variable = Variable(fresh(), expression.type)
        before.append(Let(variable, made))
        made = variable
    known[id(expression)] = made
    return made
