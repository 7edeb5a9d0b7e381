"""Episodes: what one call of a compiled function did, from its arguments to its results.

An episode is a list of steps. A step is a template of all that was recorded between two *actions*,
or an action: `backward`, an optimizer's `zero_grad` or `step`, which are carried out as they are
until all of it can be joined to one call (see ``joined.py``).
The tensors that steps read and make are kept in one list of *values*: first the function's
arguments, then what it reads from elsewhere (parameters, buffers), then results in order.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fakel.autograd.modes import state as modes
from fakel.graph import Call, Run, current_run, flush, recorded_since, recording, watching
from fakel.recall.actions import observing
from fakel.recall.capture import Capture, SpoiltError
from fakel.recall.expect import Expectation, Met, recall
from fakel.recall.joined import Joined, Joining
from fakel.recall.keys import Known
from fakel.recall.template import Template, record
from fakel.tensor import Tensor
from fakel.tensor.generator import default_generator

# replays after which steps that were not all recalled stay steps
_ATTEMPTS = 8
_OURS = str(Path(__file__).parent.parent) + "/"


class Observation:
    """Watches a call of a function, which runs as it is, and makes its episode.

    Args:
        arguments: the tensors among the function's arguments.
        others: the tensors that it may read from elsewhere.
        watch: what notes the functions that run; it does not look into actions.
    """

    def __init__(self, arguments: list[Tensor], others: list[Tensor], watch: Any) -> None:
        self.arguments = len(arguments)
        self.others = others
        self.values = [*arguments, *others]
        self.watch = watch
        self.steps: list[Any] = []
        self.reason: str | None = None
        self.modes = modes.enabled, modes.inference
        # storages that share a value, of which templates read the first only
        first: dict[int, int] = {}
        self.alike: list[tuple[int, int]] = []
        for place, tensor in enumerate(self.values):
            other = first.setdefault(id(tensor._storage.node), place)
            if tensor._storage is not self.values[other]._storage:
                self.alike.append((other, place))

    def spoil(self, reason: str) -> None:
        """The call cannot be replayed."""
        self.reason = self.reason or reason

    def open(self) -> None:
        """From now on, what is recorded is captured."""
        self.capture = Capture(list(self.values), [])
        self.count = recorded_since()
        self.draws = default_generator.draws
        watching.capture = self.capture
        observing.episode = self

    def close(self, results: list[Tensor]) -> None:
        """Ends what was captured; the results are the tensors that may be needed later."""
        watching.capture = observing.episode = None
        if self.reason is not None:
            return
        new = list({id(r): r for r in results if not self._has(r)}.values())
        capture = self.capture
        if default_generator.draws != self.draws + capture.counted:
            capture.spoil("it draws random numbers")
        recorded = recorded_since(self.count)
        try:
            capture.template(new, recorded)
            places = capture.keep_used()
            template = capture.template(new, recorded)
        except SpoiltError as error:
            self.spoil(str(error))
            return
        if new or template.recipes or template.writes:
            self.steps.append((template, places))
        self.values += new

    def perform(
        self, function: Callable[..., Any], owner: Any, args: tuple[Any, ...], kwargs: Any
    ) -> Any:
        """Carries out an action."""
        tensors = [owner] if isinstance(owner, Tensor) else []
        self.close(tensors + _seen_by_callers())
        if any(isinstance(value, Tensor) for value in (*args, *kwargs.values())) or any(
            callable(value) for value in (*args, *kwargs.values())
        ):
            self.spoil("an action takes tensors or functions")
        place = self._place(owner) if isinstance(owner, Tensor) else None
        self.steps.append((function, None if place is not None else owner, place, args, kwargs))
        self.watch.pause()
        try:
            result = function(owner, *args, **kwargs)
        finally:
            self.watch.resume()
        if result is not None:
            self.spoil("an action returns something")
        self.open()
        return result

    def _has(self, tensor: Tensor) -> bool:
        return any(tensor is value for value in self.values)

    def _place(self, tensor: Tensor) -> int:
        return next((i for i, value in enumerate(self.values) if value is tensor), -1)

    def episode(self, result: Any) -> Episode:
        """The episode, once the function has returned.

        Raises:
            SpoiltError: it cannot be replayed.
        """
        found: list[Tensor] = []
        described = self._describe(result, found)
        self.close(found)
        if (modes.enabled, modes.inference) != self.modes:
            self.spoil("it changes the gradient mode")
        if self.reason is not None:
            raise SpoiltError(self.reason)
        placed = self._placed(described)
        return Episode(self.arguments, self.others, self.alike, self.steps, placed)

    def _describe(self, result: Any, found: list[Tensor]) -> Any:
        if isinstance(result, Tensor):
            found.append(result)
            return result
        if isinstance(result, (tuple, list)):
            kind = getattr(type(result), "_make", type(result))
            return kind, [self._describe(part, found) for part in result]
        if isinstance(result, dict) and type(result) is dict:
            parts = {key: self._describe(part, found) for key, part in result.items()}
            return dict, parts
        if not isinstance(result, (int, float, bool, str, type(None))):
            self.spoil("it returns something else than tensors")
        return None, result

    def _placed(self, described: Any) -> Any:
        if isinstance(described, Tensor):
            return self._place(described)
        kind, parts = described
        if kind is None:
            return described
        if kind is dict:
            return dict, {key: self._placed(part) for key, part in parts.items()}
        return kind, [self._placed(part) for part in parts]


def _seen_by_callers() -> list[Tensor]:
    """The tensors in the local variables of the functions that led here, up to the compiled one."""
    found: list[Tensor] = []
    frame: Any = sys._getframe(1)
    while frame is not None and frame.f_code.co_name != "observed":
        if not frame.f_code.co_filename.startswith(_OURS):
            for value in frame.f_locals.values():
                found += _tensors_in(value)
        frame = frame.f_back
    return found


def _tensors_in(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, (list, tuple)):
        return [each for part in value for each in _tensors_in(part)]
    if isinstance(value, dict):
        return [each for part in value.values() for each in _tensors_in(part)]
    return []


class Episode:
    """The steps of a call, and where its result is among the values.

    Args:
        arguments: how many tensors the function takes.
        others: tensors that are read from elsewhere.
        alike: the places of values that share theirs although their storages differ.
        steps: (template, places of its arguments), or (function, owner or None, place of the owner,
            args, kwargs).
        result: the place of a tensor, or (kind, parts).
    """

    def __init__(
        self,
        arguments: int,
        others: list[Tensor],
        alike: list[tuple[int, int]],
        steps: list[Any],
        result: Any,
    ) -> None:
        self.others = others
        self.alike = alike
        self.steps = steps
        self.result = result
        self.joined: Joined | None = None
        self.joined_result: Any = None  # where it is when only what is needed is made
        self.attempts = _ATTEMPTS if len(steps) > 1 else 0
        self.known = Known(others)
        # the template, where that is all there is and it takes all values in order
        whole = len(steps) == 1 and steps[0][1] == list(range(arguments + len(others)))
        self.only: Template | None = steps[0][0] if whole and not alike else None
        self.function = object()  # stands for this in expectations

    def fits(self, arguments: list[Tensor]) -> bool:
        """Whether what is read from elsewhere is as it was."""
        if not self.known.fits():
            return False
        if not self.alike:
            return True
        nodes = [tensor._storage.node for tensor in (*arguments, *self.others)]
        return all(nodes[first] is nodes[other] for first, other in self.alike)

    def meet(self, run: Run, expected: Expectation, args: tuple[Any, ...]) -> Met | None:
        """What `Expectation.meet` says of the call of this that was expected, with these arguments
        of the function.
        """
        return expected.meet(run, (*args, *self.others), {})

    def recall(self, run: Run, expected: Expectation, met: Met) -> Any:
        """Does it all for the call that was met; returns the result."""
        made = expected.recall(run, *met)
        return _found(self.result, [*met[0], *made])

    def expect(self, template: Template, args: tuple[Any, ...], arguments: list[Tensor]) -> Any:
        """Does it all, as ``replay``, and notes that this call is to be expected here."""
        values = [*arguments, *self.others]
        with recording():
            args = (*args, *self.others)
            made = recall(template, self.function, args, {}, values, [], False)
        return _found(self.result, [*values, *made])

    def replay(self, arguments: list[Tensor]) -> Any:
        """Does it all for these arguments, and returns the result."""
        if self.joined is not None:
            made = self.joined.replay(arguments)
            if made is not None:
                return _found(self.joined_result, [*arguments, *self.others, *made])
        elif self.attempts and not recorded_since():
            return self._join(arguments)
        values = [*arguments, *self.others]
        for step in self.steps:
            if len(step) == 2:
                values += _apply(step[0], [values[place] for place in step[1]])
            else:
                function, owner, place, args, kwargs = step
                function(owner if place is None else values[place], *args, **kwargs)
        return _found(self.result, values)

    def _join(self, arguments: list[Tensor]) -> Any:
        """Replays step by step, and joins the steps where all were recalled."""
        self.attempts -= 1
        run = current_run()
        values = [*arguments, *self.others]
        counts, taken, flushes = [0], [], False
        for step in self.steps:
            if len(step) == 2:
                values += _apply(step[0], [values[place] for place in step[1]])
            else:
                function, owner, place, args, kwargs = step
                if hasattr(function, "unflushed"):
                    function, flushes = function.unflushed, True
                function(owner if place is None else values[place], *args, **kwargs)
            counts.append(recorded_since())
            taken.append(Joining.taken(step))
        if current_run() is run and len(run.calls) == counts[-1]:
            try:
                self._joined(Joining(run, arguments, self.others, values), counts, taken, flushes)
            except SpoiltError:
                pass
        del taken
        if flushes:
            flush()
        return _found(self.result, values)

    def _joined(self, joining: Joining, counts: list[int], taken: list[Any], flushes: bool) -> None:
        values, calls = joining.values, joining.run.calls
        count = len(joining.arguments) + len(self.others)
        places: dict[int, Any] = {}
        for number, step in enumerate(self.steps):
            made: list[Call] = calls[counts[number] : counts[number + 1]]
            if len(step) == 2:
                template, chosen = step
                described = joining.add_template(template, [values[p] for p in chosen], *made)
                for each in described:
                    places[count] = joining.made[id(values[count])] = each
                    count += 1
            else:
                joining.add_action(step, made, taken[number])
        count = len(joining.arguments) + len(self.others)
        needed = [place for place in _places(self.result) if place in places]
        self.joined_result = _moved(self.result, {p: count + i for i, p in enumerate(needed)})
        self.joined = joining.joined([places[place] for place in needed], flushes)


def _apply(template: Template, arguments: list[Tensor]) -> list[Tensor]:
    with recording():
        made: list[Tensor] = record(template.start(arguments, []), arguments)
    return made


def _places(described: Any) -> list[int]:
    """The places of the tensors in a result."""
    if type(described) is int:
        return [described]
    kind, parts = described
    if kind is None:
        return []
    return [
        place for part in (parts.values() if kind is dict else parts) for place in _places(part)
    ]


def _moved(described: Any, places: dict[int, int]) -> Any:
    """A result whose tensors are in other places, where there is one."""
    if type(described) is int:
        return places.get(described, described)
    kind, parts = described
    if kind is None:
        return described
    if kind is dict:
        return dict, {key: _moved(part, places) for key, part in parts.items()}
    return kind, [_moved(part, places) for part in parts]


def _found(described: Any, values: Any) -> Any:
    if type(described) is int:
        return values[described]
    kind, parts = described
    if kind is None:
        return parts
    if kind is dict:
        return {key: _found(part, values) for key, part in parts.items()}
    return kind([_found(part, values) for part in parts])
