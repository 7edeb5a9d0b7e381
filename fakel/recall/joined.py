"""Joined episodes: a training step of a compiled function as one call.

Once every step of an episode was recalled, all of it is known: what the function records, what its
backward pass and its optimizers' updates record for that, which tensors are read and written. The
templates of all of these become one; between them nothing is made that nobody can see afterwards.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fakel.autograd.engine import without_gradient
from fakel.graph import (
    Call,
    Node,
    Run,
    begin_backward,
    current_run,
    flush,
    recorded_since,
    recording,
    undoable,
)
from fakel.recall.backward import BackwardTemplate
from fakel.recall.capture import SpoiltError
from fakel.recall.direct import Direct
from fakel.recall.keys import Known, is_operand
from fakel.recall.template import ARGUMENT, MADE, Described, Recorded, Template, record, renumbered
from fakel.tensor import Tensor

# where a node comes from while templates are joined: (kind, number)
_TENSOR, _NUMBER, _CONSTANT, _DRAWN, _NODE = range(5)
_Origin = tuple[int, int]
# in place of a number that is taken at run time
_OPERAND = object()


class Joined:
    """An episode as one call.

    Args:
        template: what it records, makes and writes. It returns a list, of which the first ones are
            values of the episode, and then gradients.
        fixed: the tensors that follow the function's arguments.
        unchecked: those of them that the episode does not check itself.
        cleared: parameters whose gradients are None at the end, or given here.
        without: parameters that must have no gradient at the beginning.
        gradients: a parameter, the place of its gradient in the list, its stamp.
        updates: what the optimizers do.
        flushes: whether an optimizer's step ends with a flush.
    """

    def __init__(
        self,
        template: Template,
        fixed: list[Tensor],
        unchecked: list[Tensor],
        cleared: list[Tensor],
        without: list[Tensor],
        gradients: list[tuple[Tensor, int, Any]],
        updates: list[_Updates],
        flushes: bool,
    ) -> None:
        self.template = template
        self.fixed = fixed
        self.known = Known(unchecked)
        self.cleared = cleared
        self.without = without
        self.gradients = gradients
        self.updates = updates
        self.flushes = flushes
        self.direct: Direct | None = None
        # the numbers of the last step, and the leaves that were made for them
        self.numbers: list[float] = []
        self.operands: list[Node] = []

    def replay(self, arguments: list[Tensor]) -> list[Tensor] | None:
        """Does it all for these arguments; returns what the template makes, or None, with nothing
        done, where something has changed.
        """
        if not self.known.fits():
            return None
        for parameter in self.without:
            if parameter._gradient is not None:
                return None
        for parameter, _, _ in self.gradients:
            if parameter._hooks is not None:
                return None
        numbers: list[float] = []
        counted = []
        for update in self.updates:
            counts = update.numbers(numbers)
            if counts is None:
                return None
            counted.append(counts)
        begin_backward()
        tensors = [*arguments, *self.fixed]
        with recording():
            for parameter in self.cleared:
                parameter._gradient = None
            for parameter, _, _ in self.gradients:
                parameter._gradient = None
            # random numbers are drawn here, once
            if numbers != self.numbers:
                self.numbers, self.operands = numbers, self.template.operands(numbers)
            call = self.template.start(tensors, self.operands)
            call.freed = True
            made: list[Tensor] | None = None
            if self.direct is not None:
                made = self.direct.execute(call, tensors)
                if made is not None:
                    self._store(counted)
                    return made
            made = record(call, tensors)
        self._store(counted)
        for parameter, place, stamp in self.gradients:
            undoable(without_gradient(parameter))
            gradient = parameter._gradient = made[place]
            gradient._stamp = stamp
        if self.flushes:
            self._flush(tensors)
        return made

    def _store(self, counted: list[list[dict[str, float]]]) -> None:
        for update, counts in zip(self.updates, counted):
            update.store(counts)

    def _flush(self, tensors: list[Tensor]) -> None:
        """Flushes, and looks for the program that this leads to."""
        direct, run = None, current_run()
        if (
            self.direct is None
            and run.state is not None
            and len(run.calls) == recorded_since() == 1
        ):
            direct = Direct(self.template, self.gradients, run, tensors)
        del run
        flush()
        if direct is not None and direct.find():
            self.direct = direct


class _Updates:
    """What one optimizer does in a step.

    Args:
        optimizer: the optimizer.
        arrange: gives the updates that are in force, None where a step does something else.
    """

    def __init__(self, optimizer: Any, arrange: Any) -> None:
        self.optimizer = optimizer
        self.arrange = arrange
        self.known: list[Any] = arrange(optimizer) or []
        self.applies = [update.apply for update in self.known]
        self.operands = [
            [_OPERAND if is_operand(value) else value for value in update.operands(optimizer)[0]]
            for update in self.known
        ]

    def numbers(self, numbers: list[float]) -> list[dict[str, float]] | None:
        """Appends the numbers of this step; returns what is counted. None where what is to be done
        has changed.
        """
        updates = self.arrange(self.optimizer)
        if updates is None or len(updates) != len(self.known):
            return None
        counted = []
        for position, update in enumerate(updates):
            if update is not self.known[position]:
                return None
            operands, counts = update.operands(self.optimizer)
            if update.apply is not self.applies[position]:
                return None
            for value, known in zip(operands, self.operands[position]):
                if is_operand(value):
                    if known is not _OPERAND:
                        return None
                    numbers.append(value)
                elif value != known:
                    return None
            counted.append(counts)
        return counted

    def store(self, counted: list[dict[str, float]]) -> None:
        """Notes what is counted."""
        for update, counts in zip(self.known, counted):
            if counts:
                update.store(counts)


class Joining:
    """Joins what the steps of an episode were seen to record.

    Args:
        run: the run in which they were carried out, all of it recalled.
        arguments: the function's arguments.
        others: what it reads from elsewhere, which the episode checks.
        values: all values of the episode.
    """

    def __init__(
        self, run: Run, arguments: list[Tensor], others: list[Tensor], values: list[Tensor]
    ) -> None:
        self.run = run
        self.arguments = arguments
        self.others = others
        self.values = values
        self.tensors = list(arguments)
        self.recipes: list[Any] = []
        self.nodes: dict[int, int] = {}  # recorded nodes by identity, as positions of recipes
        self.leaves: dict[int, _Origin | None] = {}  # leaves by identity; None: it is not clear
        self.numbers: list[Any] = []
        self.count = 0  # of the numbers that updates take
        self.constants: list[Any] = []
        self.drawn: list[Any] = []
        self.checks: list[Any] = []
        self.backwards: list[Recorded] = []
        self.edges: set[int] = set()
        self.storages: list[tuple[_Origin, Any, int, Any]] = []
        self.made: dict[int, Described] = {}  # values by identity
        self.writes: dict[int, tuple[_Origin, int]] = {}
        self.given: dict[int, tuple[Tensor, Described, Any]] = {}
        self.cleared: dict[int, Tensor] = {}
        self.without: dict[int, Tensor] = {}
        self.updates: list[_Updates] = []
        self.size = 0

    # ---------------------------------------------------------------- the steps

    def add_template(self, template: Template, arguments: list[Tensor], call: Call) -> list[Any]:
        """A step that is a template; returns where its results are."""
        if template.numbers or (template.backwards and not call.freed):
            raise SpoiltError("a step keeps what backward would need")
        sources = self._sources(template, call, arguments)
        first = len(self.backwards)
        for position, check in template.checks:
            kind, place = (None, None) if position is None else sources[position]
            self.checks.append((place if kind == _TENSOR else None, check))
        origins = self._add(template, call, sources)
        made = len(self.storages)
        for slot, *rest in template.storages:
            self.storages.append((origins[slot], *rest))
        for recorded in template.backwards:
            edges = tuple([self._edge(edge, arguments, first) for edge in recorded.edges])
            saved: Any = None if recorded.saved is None else {}
            self.backwards.append(
                Recorded(recorded.kind, recorded.fixed, edges, recorded.outputs, saved)
            )
        self._add_writes(template.writes, arguments, origins)
        return [self._described(result, arguments, made, first) for result in template.results[1]]

    def _add_backward(self, call: Call) -> None:
        template: BackwardTemplate = call.template
        if template.known or template.writes:
            raise SpoiltError("gradients are added to others")
        slots: list[Any] = call.slots  # type: ignore[assignment]
        count = len(template.saved)
        sources = [self._known(node) for node in slots[:count]]
        sources += [self._constant(node) for node in template.constants]
        origins = self._add(template, call, sources)
        for number, slot, shape, dtype, length, stamp in template.gradients:
            parameter = self.run.parameters[number]
            described = Described((MADE, len(self.storages)), shape)
            self.storages.append((origins[slot], dtype, length, None))
            self.given[id(parameter)] = parameter, described, stamp
            if id(parameter) not in self.cleared:
                self.without[id(parameter)] = parameter

    @staticmethod
    def taken(step: Any) -> list[Any]:
        """The tensors that an optimizer's step, which was the last to be carried out, has taken."""
        function, owner, *_ = step
        if not hasattr(function, "updates"):
            return []
        return [update.tensors() for update in function.updates(owner) or ()]

    def add_action(self, step: Any, calls: list[Call], taken: list[Any]) -> None:
        """An action, which made these calls."""
        function, owner, _, args, kwargs = step
        if hasattr(function, "cleared") and not (args or kwargs or calls):
            for parameter in function.cleared(owner):
                self.cleared[id(parameter)] = parameter
                self.given.pop(id(parameter), None)
        elif hasattr(function, "updates") and not (args or kwargs):
            self._add_updates(_Updates(owner, function.updates), calls, taken)
        elif len(calls) == 1 and type(calls[0].template) is BackwardTemplate:
            self._add_backward(calls[0])
        else:
            raise SpoiltError("an action is not recalled")

    def _add_updates(self, updates: _Updates, calls: list[Call], taken: list[Any]) -> None:
        if not len(updates.known) == len(calls) == len(taken):
            raise SpoiltError("an optimizer updates in another way")
        for group in updates.optimizer.param_groups:
            for parameter in group["params"]:
                if id(parameter) not in self.given and id(parameter) not in self.cleared:
                    self.without[id(parameter)] = parameter
        self.updates.append(updates)
        for call, tensors, operands in zip(calls, taken, updates.operands, strict=True):
            template = call.template
            if template.results != (list, []) or template.backwards or template.checks:
                raise SpoiltError("an update does more than write")
            if any(isinstance(value, Tensor) for value in operands):
                raise SpoiltError("a number of an update is a tensor")
            origins = self._add(template, call, self._sources(template, call, tensors))
            self._add_writes(template.writes, tensors, origins)
            self.count += sum(value is _OPERAND for value in operands)

    # ---------------------------------------------------------------- origins

    def _place(self, tensor: Tensor) -> int:
        for place, known in enumerate(self.tensors):
            if known is tensor:
                return place
        if id(tensor) in self.made:
            raise SpoiltError("a result is written")
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def _known(self, node: Any) -> _Origin:
        """The origin of a node that a backward pass reads."""
        position = self.nodes.get(id(node))
        if position is not None:
            return _NODE, position
        origin = self.leaves.get(id(node))
        if origin is None:
            raise SpoiltError("a backward pass reads something from elsewhere")
        return origin

    def _constant(self, node: Any) -> _Origin:
        self.constants.append(node)
        return _CONSTANT, len(self.constants) - 1

    def _sources(self, template: Template, call: Call, arguments: list[Tensor]) -> list[_Origin]:
        """The origins of what a template reads, in its order."""
        slots: list[Any] = call.slots  # type: ignore[assignment]
        origins: list[_Origin] = []
        for tensor, node in zip(arguments, slots, strict=False):
            position = self.nodes.get(id(node))
            if position is not None:
                origins.append((_NODE, position))
                continue
            origin = _TENSOR, self._place(tensor)
            if self.leaves.setdefault(id(node), origin) != origin:
                self.leaves[id(node)] = None
            origins.append(origin)
        for position, make, kind in template.numbers:
            self.numbers.append((self.count + position, make, kind))
            origins.append((_NUMBER, len(self.numbers) - 1))
        origins += [self._constant(node) for node in template.constants]
        for drawn in template.drawn:
            self.drawn.append(drawn)
            origins.append((_DRAWN, len(self.drawn) - 1))
        return origins

    def _add(self, template: Any, call: Call, sources: list[_Origin]) -> list[_Origin]:
        """Adds what a template records; returns the origins of its slots."""
        count, first = template.sources, len(self.recipes)
        for operator, picks, parameters, shape, dtype in template.recipes:
            origins = [
                None if i is None else sources[i] if i < count else (_NODE, first + i - count)
                for i in picks
            ]
            self.recipes.append((operator, origins, parameters, shape, dtype))
        slots: list[Any] = call.slots  # type: ignore[assignment]
        self.size += template.size
        exposed: list[_Origin] = []
        for position, node in zip(template.exposed, slots[count:], strict=True):
            self.nodes[id(node)] = first + position
            exposed.append((_NODE, first + position))
        return sources + exposed

    def _add_writes(self, writes: Any, tensors: list[Tensor], origins: list[_Origin]) -> None:
        for position, slot, count in writes:
            place = self._place(tensors[position])
            _, before = self.writes.get(place, (None, 0))
            self.writes[place] = origins[slot], before + count

    # ---------------------------------------------------------------- tensors

    def _edge(self, edge: Any, arguments: list[Tensor], first: int) -> Any:
        if edge is None:
            return None
        if edge[0] == MADE:
            return MADE, first + edge[1], edge[2]
        tensor = arguments[edge[1]]
        made = self.made.get(id(tensor))
        if made is not None:
            return None if made.backward is None else (MADE, *made.backward)
        place = self._place(tensor)
        self.edges.add(place)
        return ARGUMENT, place

    def _described(self, result: Any, arguments: list[Tensor], made: int, first: int) -> Any:
        if not isinstance(result, Described) or result.base is not None or result.origin:
            raise SpoiltError("a result is a view")
        kind, position = result.storage
        if kind == ARGUMENT:
            storage = ARGUMENT, self._place(arguments[position])
        else:
            storage = MADE, made + position
        backward = result.backward
        if backward is not None:
            backward = first + backward[0], backward[1]
        return replace(result, storage=storage, backward=backward)

    def joined(self, results: list[Described], flushes: bool) -> Joined:
        """The whole.

        Args:
            results: the values of the episode that are needed afterwards.
            flushes: whether it ends with a flush.
        """
        described = list(results)
        gradients = []
        for parameter, gradient, stamp in self.given.values():
            gradients.append((parameter, len(described), stamp))
            described.append(gradient)
        counts = len(self.tensors), len(self.numbers), len(self.constants), len(self.drawn)
        starts = [sum(counts[:kind]) for kind in range(5)]

        def pick(origin: _Origin | None) -> int | None:
            return None if origin is None else starts[origin[0]] + origin[1]

        needed = sorted({each.storage[1] for each in described if each.storage[0] == MADE})
        storages = [self.storages[number] for number in needed]
        numbers = {number: position for position, number in enumerate(needed)}
        wanted = [origin for origin, *_ in storages] + [o for o, _ in self.writes.values()]
        exposed = sorted({number for kind, number in wanted if kind == _NODE})
        slots = {position: starts[_NODE] + i for i, position in enumerate(exposed)}

        def slot(origin: _Origin) -> int:
            return slots[origin[1]] if origin[0] == _NODE else starts[origin[0]] + origin[1]

        template = Template(
            arguments=len(self.tensors),
            numbers=self.numbers,
            constants=self.constants,
            drawn=self.drawn,
            checks=self.checks,
            recipes=[(op, tuple(map(pick, p)), *rest) for op, p, *rest in self.recipes],
            exposed=exposed,
            storages=[(slot(origin), *rest) for origin, *rest in storages],
            results=(list, [renumbered(each, numbers) for each in described]),
            writes=[(place, slot(o), count) for place, (o, count) in self.writes.items()],
            backwards=self.backwards,
            edges=sorted(self.edges),
            kept=(),
            size=self.size,
        )
        fixed = self.tensors[len(self.arguments) :]
        checked = {id(tensor) for tensor in self.others}
        cleared = [p for key, p in self.cleared.items() if key not in self.given]
        return Joined(
            template,
            fixed,
            [tensor for tensor in fixed if id(tensor) not in checked],
            cleared,
            list(self.without.values()),
            gradients,
            self.updates,
            flushes,
        )
