"""Recording nodes and flushing them: nothing is computed until somebody looks.

A flush runs everything that was recorded and that somebody still refers to, in the order in which
it was recorded. Reference counts tell who still refers to a node, so recording costs nothing for
it: a node that is referred to by nodes of the program only is an intermediate, one that nobody
refers to is dropped.
"""

from __future__ import annotations

import math
import os
import sys
import threading
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

from fakel.graph.node import FAILED, OUTPUT, Node, Operator
from fakel.graph.run import Call, Run, expand, forget_states
from fakel.graph.undo import Journal, Moment, former
from fakel.interpreter import Interpreter
from fakel.runtime import settle, settle_contents, settle_memory, trace

# While a sample is loaded, a node with at most so many elements is computed as it is recorded.
_SMALL = 1 << 18

# Recording more than this flushes by itself, so that loops without any flush point stay bounded.
PENDING_NODES = 4000
PENDING_BYTES = 2 << 30


class Executor(Protocol):
    """What runs a program. ``run`` computes the nodes in order and sets their values; it removes
    computed nodes from the front of the list, so that after an error the rest is still there.
    """

    def run(self, program: list[Node]) -> None: ...


@runtime_checkable
class Compiling(Executor, Protocol):
    """An executor that keeps compiled programs. ``native`` says how to run these nodes again,
    None where it does not know (see ``compiler/replay.py``).
    """

    def native(self, program: list[Node]) -> Any: ...


class _Recorder:
    """The nodes and calls recorded since the last flush, shared by all threads."""

    def __init__(self) -> None:
        self.pending: list[Node | Call] = []
        self.run = Run()
        self.journal = Journal()
        self.failed = False  # whether any node ever has
        self.owner = threading.get_ident()
        self.bytes = 0
        self.backward_pending = False
        self.lock = threading.RLock()
        self.executor: Executor = Interpreter()
        self.compiling: Compiling | None = None  # the executor, if it is one
        self.at_once = 0
        self.uncaptured = 0


class _Watching:
    """``capture`` notes the effects of the call that is being captured, if any."""

    capture: Any = None


_recorder = _Recorder()
watching = _Watching()


def _after_fork() -> None:
    _recorder.lock = threading.RLock()


os.register_at_fork(after_in_child=_after_fork)


def record(
    operator: Operator,
    inputs: tuple[Node | None, ...],
    parameters: dict[str, Any],
    shape: Any,
    dtype: Any,
) -> Node:
    """Records one use of an operator."""
    node = Node(operator, inputs, parameters, shape, dtype)
    recorder = _recorder
    if recorder.at_once and _computes_at_once(node):
        for source in inputs:
            if source is not None:
                settle_contents(source.value)
        Interpreter().run([node])
        return node
    recorder.pending.append(node)
    if watching.capture is not None and threading.get_ident() != recorder.owner:
        watching.capture.spoil("another thread records")
    if type(dtype) is not tuple:
        recorder.bytes += math.prod(shape) * dtype.itemsize
        # a node with several outputs is computed together with what picks each of them
        if operator is not OUTPUT:
            flush_if_much()
    return node


class AtOnce:
    """A context in which small nodes are computed as they are recorded.

    Loading data takes many small steps, a few for every sample, in programs that may never come
    again: computing one costs less than recording it, and recognising the program later.
    """

    def __enter__(self) -> None:
        _recorder.at_once += 1
        leave_uncaptured(1)

    def __exit__(self, *exception: object) -> None:
        _recorder.at_once -= 1
        leave_uncaptured(-1)


def _computes_at_once(node: Node) -> bool:
    """Whether a node is small and its inputs are computed."""
    if type(node.dtype) is tuple:
        elements = sum(math.prod(shape) for shape in node.shape)
    else:
        elements = math.prod(node.shape)
    return elements <= _SMALL and all(
        source is None or source.value is not None for source in node.inputs
    )


def add_call(call: Call, size: int) -> bool:
    """Records a call whose effect is known, once the run has moved on to the state it leads to.

    Args:
        call: its slots hold the nodes that it reads; those that it exposes are appended.
        size: bytes of what it computes.

    Returns:
        whether so much is recorded now that it has to be flushed, once there is what refers to the
        exposed nodes.
    """
    recorder = _recorder
    recorder.run.add(call)
    recorder.pending.append(call)
    recorder.bytes += size
    return len(recorder.pending) > PENDING_NODES or recorder.bytes > PENDING_BYTES


def flush_if_much() -> None:
    """Flushes when so much is recorded that it would not stay bounded."""
    if len(_recorder.pending) > PENDING_NODES or _recorder.bytes > PENDING_BYTES:
        flush()


def may_capture() -> bool:
    """Whether calls of this thread may be captured and recalled: one thread's only are."""
    recorder = _recorder
    if watching.capture is not None or recorder.uncaptured:
        return False
    return threading.get_ident() == recorder.owner


def leave_uncaptured(more: int) -> None:
    """Nothing is captured or recalled as long as the sum of all that is given here is positive."""
    _recorder.uncaptured += more


def may_fail() -> None:
    """Tells that what is about to be recorded raises if values that are pending turn out wrong."""
    _recorder.run.risky = True


def undoable(restore: Callable[[], None]) -> None:
    """Notes how to take back what is being done, in case that something recorded before fails."""
    if _recorder.run.risky and _recorder.pending:
        _recorder.journal.add((len(_recorder.pending), 0), restore)


def note_write(storage: Any, count: int | None = None) -> None:
    """Tells that the node of a storage is about to be replaced by a write in place.

    Args:
        storage: it.
        count: how many nodes of the call that was recorded last come before; None means all.
    """
    if _recorder.run.risky:
        if count is None:
            undoable(former(storage))
        else:
            _recorder.journal.add((len(_recorder.pending) - 1, count), former(storage))


def recorded_since(count: int | None = None) -> Any:
    """How much is recorded; given an earlier answer, what was recorded since."""
    pending = _recorder.pending
    return len(pending) if count is None else pending[count:]


def recording() -> Any:
    """The lock to hold from looking at the run until everything refers to what a call exposes: no
    other thread flushes meanwhile.
    """
    return _recorder.lock


def current_run() -> Run:
    """The run of recalled calls since the last flush."""
    return _recorder.run


def use_executor(executor: Executor) -> Executor:
    """Sets what runs programs from now on; returns what did before."""
    settle()
    before, _recorder.executor = _recorder.executor, executor
    _recorder.compiling = executor if isinstance(executor, Compiling) else None
    forget_states()  # they hold programs of the executor before
    _recorder.run.state = None
    return before


def begin_backward() -> None:
    """Flushes when an earlier backward is still pending: loops that update by hand then flush once
    an iteration, always at the same place.
    """
    if watching.capture is not None:
        return  # whoever captures a backward pass has begun it
    if _recorder.backward_pending:
        flush()
    _recorder.backward_pending = True


def flush() -> None:
    """Computes everything that is recorded and that somebody still refers to."""
    recorder = _recorder
    if not recorder.pending:
        return
    with recorder.lock:
        pending, recorder.pending = recorder.pending, []
        run, recorder.run = recorder.run, Run()
        journal, recorder.journal = recorder.journal, Journal()
        recorder.bytes = 0
        recorder.backward_pending = False
        if watching.capture is not None:
            watching.capture.spoil("values were computed")
        if sys.getrefcount(run) == _ALONE:
            # nobody can go backward through this run any more
            for call in run.calls:
                call.saved = ()
        key = None
        if run.state is not None and len(run.calls) == len(pending):
            key = run.held()
            replay = run.state.variants.get(key)
            if replay is not None and _replayed(replay, run, pending):
                return
        settle()
        nodes = _expanded(pending)
        moments = _moments(nodes, pending) if run.risky else {}
        del pending
        # by identity: references would count as somebody's
        met = [id(node) for node in run.nodes], [id(leaf) for leaf in run.leaves]
        run.forget()
        program = _living(nodes)
        del nodes
        if not program:
            return
        if key is not None and run.state is not None and recorder.compiling is not None:
            found = recorder.compiling.native(program)
            if found is not None:
                run.state.variants[key] = found.place(*met)
        try:
            if recorder.failed:
                _refuse_failed(program)
            with trace.span("flush", "flush"):
                recorder.executor.run(program)
        except Exception as error:
            recorder.failed = True
            journal.take_back(moments.get(id(program[0]), (0, 0)))
            _fail(program, error)
            _compute_others(program)
            raise
        finally:
            # what an interruption left undone stays recorded
            recorder.pending[:0] = program


def _replayed(replay: Any, run: Run, pending: list[Node | Call]) -> bool:
    """Runs the known program of a run; False where that does not do."""
    try:
        if trace.active is None:
            known = replay.execute(run)
        else:
            with trace.span("flush", "flush"):
                known = replay.execute(run)
        if not known:
            return False
    except BaseException:
        if not replay.done(run):
            # interrupted: all of it stays recorded
            nodes = _expanded(pending)
            pending.clear()
            run.forget()
            _recorder.pending[:0] = _living(nodes)
        raise
    run.forget()
    return True


def _expanded(pending: list[Node | Call]) -> list[Node]:
    nodes: list[Node] = []
    for each in pending:
        if type(each) is Call:
            nodes += expand(each)
        else:
            nodes.append(each)  # type: ignore[arg-type]
    return nodes


def _moments(nodes: list[Node], pending: list[Node | Call]) -> dict[int, Moment]:
    """For nodes by identity, the moment when they were recorded."""
    found: dict[int, Moment] = {}
    following = iter(nodes)
    for position, each in enumerate(pending):
        for number in range(len(each.template.recipes) if type(each) is Call else 1):
            found[id(next(following))] = position, number
    return found


def _refuse_failed(program: list[Node]) -> None:
    """Raises what a node raised that is read here; the reader comes first then."""
    for number, node in enumerate(program):
        for source in node.inputs:
            if source is not None and source.operator is FAILED:
                program.insert(0, program.pop(number))
                raise source.parameters["error"]


def _living(nodes: list[Node]) -> list[Node]:
    """The nodes that are wanted, in order. Fills in ``uses`` and ``held``."""
    wanted: list[Node] = []
    while nodes:
        node = nodes.pop()
        references = sys.getrefcount(node) - _UNHELD - node.uses
        if node.uses == 0 and references == 0:
            node.inputs = ()
            continue
        node.held = references > 0
        for source in node.inputs:
            if source is not None and source.value is None:
                source.uses += 1
        source = None  # would count as a reference when its turn comes, which may be next
        wanted.append(node)
    wanted.reverse()
    for node in wanted:
        node.uses = 0
    return wanted


def _fail(program: list[Node], error: Exception) -> None:
    """Takes the node that raised, and all that depend on it, out of the program."""
    failed = {id(program[0])}
    program[0].operator, program[0].parameters = FAILED, {"error": error}
    for node in program[1:]:
        if any(id(source) in failed for source in node.inputs):
            failed.add(id(node))
            node.operator, node.parameters, node.inputs = FAILED, {"error": error}, ()
    program[0].inputs = ()
    program[:] = [node for node in program if id(node) not in failed]


def _compute_others(program: list[Node]) -> None:
    """Computes what is left of a program that failed; what fails as well raises when it is used."""
    while program:
        program[:] = _living(program)
        try:
            _refuse_failed(program)
            Interpreter().run(program)
        except Exception as error:
            _fail(program, error)


def computed(node: Node) -> Any:
    """The node's array; flushes when it is pending, raises what its computation raised. No program
    uses the memory any longer: it may be handed out.
    """
    value = _value(node)
    settle_memory(value)
    return value


def contents(node: Node) -> Any:
    """The node's array as `computed` gives it, but only to be read, and not to be kept."""
    value = _value(node)
    settle_contents(value)
    return value


def _value(node: Node) -> Any:
    if watching.capture is not None:
        watching.capture.spoil("a value was looked at")
    if node.value is None:
        if node.operator is not FAILED:
            flush()
        if node.operator is FAILED:
            raise node.parameters["error"]
    return node.value


def _measure_unheld() -> int:
    """The references that ``_living`` sees on a node that nobody holds."""
    nodes = [Node(FAILED, (), {}, (), None)]
    while nodes:
        node = nodes.pop()
        return sys.getrefcount(node)
    return 0


_UNHELD = _measure_unheld()


def _measure_alone() -> int:
    """The references that ``flush`` sees on a run that nobody else refers to."""
    run = Run()
    return sys.getrefcount(run)


_ALONE = _measure_alone()
