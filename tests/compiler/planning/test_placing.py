"""Sharing, schedule and memory of programs' plans, against walks through the steps: each reads what
was last written where it looks, and nothing that must wait runs at the same time.
"""

import itertools
from random import Random

import pytest

import fakel
from fakel import nn
from fakel.compiler import kernels
from fakel.compiler.driver import optimized
from fakel.compiler.graph import Graph
from fakel.compiler.planning.lowering import Interpreted
from fakel.compiler.planning.memory import lay_out
from fakel.compiler.planning.plan import Plan
from fakel.compiler.planning.schedule import schedule
from fakel.compiler.planning.sharing import share_memory
from fakel.compiler.structure import structure
from fakel.interpreter import Interpreter
from tests.support.execution import execute
from tests.support.graphs import executor
from tests.support.random_programs import drawn
from tests.support.random_statements import STATEMENTS


class Placed(Interpreter):
    """Plans what it interprets."""

    def __init__(self):
        self.plans = []

    def run(self, program):
        found = structure(program)
        if found is not None:
            (_, donated), leaves = found
            plan = Plan(optimized(Graph.of(program, leaves, donated)))
            plan.lower()
            wanted = [plan.read(value).buffer for _, value in plan.graph.results]
            root = share_memory(plan, wanted)
            groups = schedule(plan, root)
            self.plans.append((plan, wanted, root, groups, *lay_out(plan, groups, root)))
        super().run(program)


def train():
    fakel.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(4 * 9 * 9, 200), nn.Dropout(0.5), nn.Linear(200, 10),
    )  # fmt: skip
    optimizer = fakel.optim.Adam(model.parameters())
    for _ in range(2):
        optimizer.zero_grad()
        x, y = fakel.randn(8, 1, 20, 20), fakel.randint(0, 10, (8,))
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()


@pytest.fixture(scope="module")
def placed():
    kernels.load()
    runs = Placed()
    with executor(runs):
        train()
        # its parts write one result
        x, weight = fakel.randn(2, 3, 5, 5), fakel.randn(3, 4, 3, 3)
        nn.functional.conv_transpose2d(x, weight, stride=2).numpy()
    random = Random(0)
    for _ in range(12):
        execute(drawn(random, STATEMENTS).text, runs)
    return runs.plans


def conflicts(plan, root):
    """Pairs of steps of which the later one must wait for the earlier one."""
    for (first, earlier), (second, later) in itertools.combinations(enumerate(plan.steps), 2):
        a, b = ({root[each] for each in step.writes} for step in (earlier, later))
        uses = [{root[each] for each in step.uses} for step in (earlier, later)]
        both = a & b
        meet = (a & uses[1]) | (b & uses[0])
        if earlier.apart and later.apart:
            meet -= both
        updates = any(plan.buffers[each].kind == "leaf" for each in b)
        if meet or (earlier.may_fail and updates):
            yield first, second


def test_what_must_wait_waits_and_nothing_else_does(placed):
    for plan, _, root, groups, *_ in placed:
        assert sorted(map(id, itertools.chain(*groups))) == sorted(map(id, plan.steps))
        group_of = {id(step): n for n, group in enumerate(groups) for step in group}
        longest = [1] * len(plan.steps)
        for first, second in sorted(conflicts(plan, root), key=lambda pair: pair[1]):
            assert group_of[id(plan.steps[first])] < group_of[id(plan.steps[second])]
            longest[second] = max(longest[second], longest[first] + 1)
        if not any(isinstance(step, Interpreted) for step in plan.steps):
            assert len(groups) == max(longest, default=0)
    assert max(len(groups) for _, _, _, groups, *_ in placed) > 8


def test_steps_read_what_was_written_last_where_they_look(placed):
    shared = 0
    for plan, wanted, root, groups, *_ in placed:
        contents = {n: n for n, buffer in enumerate(plan.buffers) if buffer.kind == "leaf"}
        written = set()
        for step in itertools.chain(*groups):
            for buffer in step.uses:
                replaced = plan.buffers[buffer].replaces
                first = buffer in step.writes and buffer not in written
                if first and not (plan.buffers[buffer].partly and root[buffer] == root[replaced]):
                    continue
                if plan.buffers[buffer].count:
                    assert contents[root[buffer]] == (replaced if first else buffer)
            for buffer in step.writes:
                contents[root[buffer]] = buffer
                written.add(buffer)
        for buffer in wanted:
            assert not plan.buffers[buffer].count or contents[root[buffer]] == buffer
        shared += sum(root[n] != n for n in range(len(root)))
    assert shared > 40


def test_what_is_alive_at_the_same_time_lies_apart(placed):
    again = 0
    for plan, _, root, groups, places, size in placed:
        lives = {}
        for number, group in enumerate(groups):
            for buffer in {root[each] for step in group for each in step.uses}:
                if plan.buffers[buffer].kind == "temporary":
                    lives.setdefault(buffer, [number, number])[1] = number
        assert set(places) == set(lives)
        spans = {n: (place, place + plan.buffers[n].size) for n, place in places.items()}
        assert all(start % 64 == 0 and stop <= size for start, stop in spans.values())
        for a, b in itertools.combinations(places, 2):
            if lives[a][0] <= lives[b][1] and lives[b][0] <= lives[a][1]:
                assert spans[a][1] <= spans[b][0] or spans[b][1] <= spans[a][0]
        again += sum(stop - start for start, stop in spans.values()) - size
    assert again > 100_000  # memory is used again
