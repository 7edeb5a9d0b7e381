"""What compiled functions must notice: changes of modules, and what modules and optimizers are.

The classes themselves belong to later layers, which tell about them here.
"""

from __future__ import annotations

from typing import Any

epoch = 0
"""Counts the changes of attributes of modules, whichever module it is."""

TABLES: set[str] = set()
"""The attributes of modules that are looked at by themselves, or are nobody's business."""

HOOKS: set[str] = set()
"""The attributes of modules that hold hooks which calls run."""

modules: list[type] = []
optimizers: list[type] = []


def changed() -> None:
    """Notes that an attribute of a module was set or deleted."""
    global epoch
    epoch += 1


def signature(module: Any) -> tuple[Any, ...]:
    """What a module and those below it hold: tables and other objects by identity, simple values by
    value.
    """
    parts: list[Any] = []
    for each in module.modules():
        parts += id(each), type(each)
        for name, value in each.__dict__.items():
            if isinstance(value, dict):
                parts += name, *map(id, value.values())
            elif isinstance(value, (int, float, str, tuple)):
                parts += name, type(value), value
            elif isinstance(value, set):
                parts += name, frozenset(value)
            else:
                parts += name, id(value)
    return tuple(parts)


def is_module(value: Any) -> bool:
    """Whether this is a module with parameters, buffers and submodules."""
    return isinstance(value, tuple(modules))


def is_optimizer(value: Any) -> bool:
    """Whether this is an optimizer."""
    return isinstance(value, tuple(optimizers))


def is_plain(value: Any) -> bool:
    """Whether attributes are all that an object has: its class is Python's own kind of class,
    without slots, properties that compute, or ways of its own to look attributes up.
    """
    kind = type(value)
    if not hasattr(value, "__dict__") or kind.__module__ == "builtins":
        return False
    for each in kind.__mro__[:-1]:
        table = vars(each)
        if "__slots__" in table or "__getattr__" in table or "__getattribute__" in table:
            return False
    return True
