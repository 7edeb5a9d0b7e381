"""Which calls are recalled: the key of a call, and the templates that were captured so far.

A call is carried out as it is at first sight, captured at the second, and recalled from then on.
The key says all that decides what a call records: the function, the geometry and history of
tensors, the values of everything else, the modes in force.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

from fakel.autograd import autocast
from fakel.autograd.anomaly import anomaly
from fakel.autograd.modes import state as modes
from fakel.autograd.tape import saved_tensor_hooks
from fakel.graph import current_run, may_capture, recorded_since, recording, watching
from fakel.recall.capture import BY_VALUE, Capture, SpoiltError
from fakel.recall.expect import recall
from fakel.recall.keys import Tensors, add_all_to_key, is_operand
from fakel.recall.template import Template
from fakel.tensor import get_default_dtype
from fakel.tensor.generator import default_generator

_MOST_TEMPLATES = 20_000

_SEEN, _PLAIN, _VALUES = "seen once", "never recalled", "the values of its numbers count"
_templates: dict[Any, Any] = {}


Refusal = Callable[[Exception, tuple[Any, ...], dict[str, Any]], "Exception | None"]


def recalled(
    function: Callable[..., Any],
    numbers: bool = False,
    constants: bool = False,
    refusal: Refusal | None = None,
    creates: bool = False,
) -> Callable[..., Any]:
    """The function, recalled where it was captured.

    Args:
        numbers: floats among the arguments are operands at run time; their values decide nothing.
        constants: the numbers go to operators as they are, so that what else is an operand was not
            made from them.
        refusal: what to raise for a call that raised an error, if not just that.
        creates: it is worth recalling without a tensor among its arguments.
    """

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            if anomaly.enabled or saved_tensor_hooks or not may_capture():
                return autocast.call(function, args, kwargs)
            with recording():
                run = current_run()
                before = run.state
                expected = None if before is None else before.expected
                if expected is not None and expected.function is function:
                    met = expected.meet(run, args, kwargs)
                    if met is not None:
                        return expected.recall(run, *met)
            tensors = Tensors()
            floats: list[float] | None = [] if numbers else None
            parts: list[Any] = [function, modes.enabled, modes.inference, get_default_dtype()]
            if not add_all_to_key(args, parts, tensors, floats):
                return function(*args, **kwargs)
            if kwargs:
                parts += kwargs
                if not add_all_to_key(kwargs.values(), parts, tensors, floats):
                    return function(*args, **kwargs)
            key = tuple(parts)
            known = _templates.get(key)
            by_value = known is _VALUES
            if by_value:
                key = (key, *(floats or ()))
                floats = []
                known = _templates.get(key)
            if type(known) is Template:
                free = numbers and not by_value
                with recording():
                    return recall(known, function, args, kwargs, tensors, floats or [], free)
            worthwhile = creates or tensors
            if known is None or known is _PLAIN or not worthwhile:
                if known is None and worthwhile:
                    _remember(key, _SEEN)
                return function(*args, **kwargs)
            if floats and len(floats) == sum(map(is_operand, args)):
                # what was captured is told apart by identity
                args = tuple([value * 1.0 if is_operand(value) else value for value in args])
                floats = list(filter(is_operand, args))
            return _captured(key, function, args, kwargs, Capture(tensors, floats or [], constants))
        except Exception as error:
            better = None if refusal is None else refusal(error, args, kwargs)
            if better is None:
                raise
            raise better from None

    return call


def _remember(key: Any, value: Any) -> None:
    if len(_templates) >= _MOST_TEMPLATES:
        _templates.clear()
    _templates[key] = value


def _captured(
    key: Any,
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    capture: Capture,
) -> Any:
    before = recorded_since()
    draws = default_generator.draws
    warn: Any = warnings.warn

    def noticed(*args: Any, stacklevel: int = 1, **kwargs: Any) -> None:
        capture.spoil("it warns")
        warn(*args, stacklevel=stacklevel + 1, **kwargs)

    watching.capture = capture
    warnings.warn = noticed
    try:
        result = function(*args, **kwargs)
    except BaseException:
        _remember(key, _PLAIN)
        raise
    finally:
        watching.capture = None
        warnings.warn = warn
    if default_generator.draws != draws + capture.counted:
        capture.spoil("it draws random numbers")
    try:
        template: Any = capture.template(result, recorded_since(before))
    except SpoiltError as reason:
        template = _VALUES if str(reason) is BY_VALUE else _PLAIN
    _remember(key, template)
    return result
