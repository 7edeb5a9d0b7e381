"""Kullback-Leibler divergences: `kl_divergence` and the registry of pairs behind it.

The formulas stand in ``kl_same_family.py`` and ``kl_between_families.py``.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from fakel.distributions.distribution import Distribution

__all__ = ["kl_divergence", "register_kl"]

_KL_REGISTRY: dict[tuple[type, type], Callable[[Any, Any], Any]] = {}
_KL_MEMOIZE: dict[tuple[type, type], Any] = {}


def register_kl(type_p: type, type_q: type) -> Any:
    """Decorator that says how ``kl_divergence(p, q)`` is computed for two types.

    The most specific registered pair counts, p before q. Where p and q disagree about which that
    is, a warning asks for the pair itself.

    Args:
        type_p: a subclass of ``Distribution``.
        type_q: a subclass of ``Distribution``.

    Raises:
        TypeError: when they are none.
    """
    for name, kind in (("type_p", type_p), ("type_q", type_q)):
        if not (isinstance(kind, type) and issubclass(kind, Distribution)):
            raise TypeError(f"Expected {name} to be a Distribution subclass but got {kind}")

    def register(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        _KL_REGISTRY[type_p, type_q] = function
        _KL_MEMOIZE.clear()  # pairs that were looked up may mean another function now
        return function

    return register


def _is_below(one: tuple[type, ...], other: tuple[type, ...]) -> bool:
    """Whether types are more specific than others, the first that differ counting."""
    for ours, theirs in zip(one, other):
        if not issubclass(ours, theirs):
            return False
        if ours is not theirs:
            break
    return True


def _most_specific(pairs: list[tuple[type, ...]]) -> tuple[type, ...]:
    best = pairs[0]
    for pair in pairs[1:]:
        if pair != best and _is_below(pair, best):
            best = pair
    return best


def _dispatch_kl(type_p: type, type_q: type) -> Any:
    matches = [(p, q) for p, q in _KL_REGISTRY if issubclass(type_p, p) and issubclass(type_q, q)]
    if not matches:
        return NotImplemented
    left_p, left_q = _most_specific(matches)
    right_q, right_p = _most_specific([(q, p) for p, q in matches])
    function = _KL_REGISTRY[left_p, left_q]
    if function is not _KL_REGISTRY[right_p, right_q]:
        warnings.warn(
            f"Ambiguous kl_divergence({type_p.__name__}, {type_q.__name__}). Please "
            f"register_kl({left_p.__name__}, {right_q.__name__})",
            RuntimeWarning,
            stacklevel=3,
        )
    return function


def kl_divergence(p: Distribution, q: Distribution) -> Any:
    """The Kullback-Leibler divergence ``KL(p || q)``, the mean of ``log(p(x) / q(x))`` over p.

    Args:
        p: the distribution of x.
        q: the one it is compared with.

    Returns:
        A tensor of the batch's shape, in nats.

    Raises:
        NotImplementedError: when there is no formula for the two types.
    """
    pair = type(p), type(q)
    if pair not in _KL_MEMOIZE:
        _KL_MEMOIZE[pair] = _dispatch_kl(*pair)
    function = _KL_MEMOIZE[pair]
    if function is NotImplemented:
        raise NotImplementedError(
            "No KL(p || q) is implemented for p type "
            f"{p.__class__.__name__} and q type {q.__class__.__name__}"
        )
    return function(p, q)
