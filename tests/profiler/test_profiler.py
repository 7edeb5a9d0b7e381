"""torch.profiler: schedules, events, tables and traces, as PyTorch has them."""

from __future__ import annotations

import gzip
import json

import pytest

import fakel
from fakel.autograd import profiler as older
from fakel.profiler import (
    ProfilerAction,
    ProfilerActivity,
    profile,
    record_function,
    schedule,
    supported_activities,
    tensorboard_trace_handler,
)
from fakel.profiler.events import EventList, FunctionEvent
from fakel.runtime import trace


@pytest.fixture(autouse=True)
def nothing_stays_active():
    yield
    assert trace.active is None


def work():
    x = fakel.ones(20, 30)
    return (x @ x.t()).sum().item()


# ------------------------------------------------------------------------ schedules


@pytest.mark.parametrize(
    "arguments",
    [
        {"wait": 1, "warmup": 1, "active": 2, "repeat": 2, "skip_first": 1},
        {"wait": 0, "warmup": 2, "active": 1},
        {"wait": 3, "warmup": 1, "active": 2, "skip_first": 2, "skip_first_wait": 1, "repeat": 2},
    ],
)
def test_schedules_are_pytorchs(arguments):
    theirs = pytest.importorskip("torch").profiler.schedule(**arguments)
    ours = schedule(**arguments)
    assert [ours(i).name for i in range(30)] == [theirs(i).name for i in range(30)]


def test_wrong_schedules():
    with pytest.raises(AssertionError, match=r"Got wait=-1 \(need >= 0\)"):
        schedule(wait=-1, warmup=0, active=1)
    with pytest.raises(AssertionError, match=r"active=0 \(need > 0\)"):
        schedule(wait=0, warmup=1, active=0)
    with pytest.warns(UserWarning, match="won't be using warmup"):
        schedule(wait=0, warmup=0, active=1)
    with pytest.raises(AssertionError, match="non-negative"):
        schedule(wait=0, warmup=1, active=1)(-1)


def test_a_schedule_chooses_the_steps():
    ready = []
    cycles = schedule(wait=1, warmup=1, active=2, repeat=2)

    def note(ended):
        steps = [e.trace_name for e in ended.events() if e.key == "ProfilerStep*"]
        ready.append((ended.step_num, steps))

    with profile(schedule=cycles, on_trace_ready=note) as recorded:
        for _ in range(10):
            work()
            recorded.step()
    assert ready == [
        (4, ["ProfilerStep#2", "ProfilerStep#3"]),
        (8, ["ProfilerStep#6", "ProfilerStep#7"]),
    ]
    assert recorded.current_action is ProfilerAction.NONE


def test_cycles_without_a_gap_are_told_apart():
    counts = []
    with pytest.warns(UserWarning, match="warmup"):
        every = schedule(wait=0, warmup=0, active=1)
    with profile(schedule=every, on_trace_ready=lambda p: counts.append(len(p.events()))) as p:
        for _ in range(3):
            with record_function("inside"):
                pass
            p.step()
    assert counts[:3] == [2, 2, 2]


# ------------------------------------------------------------------------ events


def test_what_a_block_computes_stands_in_its_profile():
    with profile(record_shapes=True, with_flops=True) as recorded:
        with record_function("forward"):
            a = fakel.ones(20, 30)
            b = a @ a.t()
        del a
    assert b.sum().item() == 20 * 20 * 30
    sums = {each.key: each for each in recorded.key_averages()}
    assert sums["forward"].count == 1 and sums["fakel::mm"].count == 1
    (product,) = (event for event in recorded.events() if event.name == "fakel::mm")
    assert [20, 30] in product.input_shapes
    assert product.cpu_parent.name == "fakel::flush"
    assert recorded.events().total_average().key == "Total"


def test_self_time_is_without_what_was_called():
    outer, inner = FunctionEvent(0, "outer", 1, 0, 100), FunctionEvent(1, "inner", 1, 10, 40)
    outer.cpu_children.append(inner)
    assert (outer.cpu_time_total, outer.self_cpu_time_total) == (100, 70)


def test_spans_nest_by_thread():
    with profile() as recorded:
        with record_function("outer"), record_function("inner"):
            pass
        with record_function("after"):
            pass
    outer, inner, after = recorded.events()
    assert inner.cpu_parent is outer and outer.cpu_children == [inner]
    assert outer.cpu_parent is None and after.cpu_parent is None


def test_record_function_decorates():
    @record_function("named")
    def double(x):
        return x * 2

    with profile() as recorded:
        assert double(4) == double(x=4) == 8
    assert recorded.key_averages()[0].count == 2
    assert double(1) == 2 and len(recorded.events()) == 2


def test_stacks_begin_in_the_program(tmp_path):
    with profile(with_stack=True) as recorded:
        work()
    sums = recorded.key_averages(group_by_stack_n=1)
    assert all(f"{__file__}(" in each.stack[0] for each in sums)
    assert "test_profiler.py" in sums.table(sort_by="self_cpu_time_total")
    recorded.export_stacks(str(tmp_path / "stacks.txt"))
    for line in (tmp_path / "stacks.txt").read_text().splitlines():
        assert line.split(" ")[0].endswith("work") and int(line.split(" ")[1]) > 0
    with pytest.raises(ValueError, match="metric should be one of"):
        recorded.export_stacks(str(tmp_path / "stacks.txt"), "self_cuda_time_total")


# ------------------------------------------------------------------------ tables


def made(kind, tables, stacks):
    """A few events of a class, ours or PyTorch's, with stacks or with operations: with both
    PyTorch's columns lose their order.
    """
    events = [
        ("add", 0.0, 1500.0, [[2, 3]], [], 0),
        ("mm", 100.0, 900.0, [[2, 3], [3, 4]], ["train.py(3): step", "train.py(9): main"], 48000),
        ("mm", 2000.0, 2600.5, [[2, 3], [3, 4]], ["train.py(4): step"], 48000),
        ("a name that is long " * 4, 3000.0, 3_000_000.0, [], [], 7_000_000),
    ]
    listed = [
        kind(
            id=i,
            name=name,
            thread=1,
            start_us=begin,
            end_us=end,
            input_shapes=shapes,
            stack=stack if stacks else [],
            flops=flops,
        )
        for i, (name, begin, end, shapes, stack, flops) in enumerate(events)
    ]
    listed[0].cpu_children.append(listed[1])
    listed[1].cpu_parent = listed[0]
    return tables(listed, with_flops=not stacks)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"sort_by": "self_cpu_time_total"},
        {"sort_by": "count", "row_limit": 2},
        {"row_limit": -1, "time_unit": "ms"},
        {"header": "A heading", "top_level_events_only": True},
        {"max_name_column_width": 12, "max_shapes_column_width": 9, "max_src_column_width": 10},
    ],
)
@pytest.mark.parametrize("grouping", [{}, {"group_by_input_shapes": True}, {"group_by_stack_n": 2}])
@pytest.mark.parametrize("stacks", [False, True])
def test_tables_are_pytorchs(options, grouping, stacks):
    util = pytest.importorskip("torch.autograd.profiler_util")
    theirs = made(util.FunctionEvent, util.EventList, stacks)
    theirs._tree_built = True
    ours = made(FunctionEvent, EventList, stacks)
    assert ours.table(**options) == theirs.table(**options)
    assert ours.key_averages(**grouping).table(**options) == theirs.key_averages(**grouping).table(
        **options
    )


def test_tables_refuse_other_columns():
    with profile() as recorded:
        work()
    with pytest.raises(AttributeError, match="'FunctionEventAvg' object has no attribute 'nope'"):
        recorded.key_averages().table(sort_by="nope")


# ------------------------------------------------------------------------ traces


def test_traces_are_written_whole(tmp_path):
    with profile(schedule=schedule(wait=0, warmup=1, active=1, repeat=1)) as recorded:
        for _ in range(3):
            work()
            recorded.step()
    recorded.add_metadata("name", 'a "text"')
    recorded.add_metadata_json("numbers", "[1, 2]")
    recorded.export_chrome_trace(str(tmp_path / "trace.json"))
    recorded.export_chrome_trace(str(tmp_path / "trace.json.gz"))
    plain = json.loads((tmp_path / "trace.json").read_text())
    assert plain == json.loads(gzip.decompress((tmp_path / "trace.json.gz").read_bytes()))
    assert plain["name"] == 'a "text"' and plain["numbers"] == [1, 2]
    assert plain["trace_id"] == recorded.get_trace_id()
    names = {event["name"] for event in plain["traceEvents"]}
    assert {"ProfilerStep#1", "mm", "flush"} <= names
    assert sorted(path.name for path in tmp_path.iterdir()) == ["trace.json", "trace.json.gz"]


def test_tensorboard_gets_a_file_for_each_cycle(tmp_path):
    folder = tmp_path / "new" / "runs"
    handler = tensorboard_trace_handler(str(folder), "me")
    cycles = schedule(wait=0, warmup=1, active=1, repeat=2)
    with profile(schedule=cycles, on_trace_ready=handler) as recorded:
        for _ in range(5):
            work()
            recorded.step()
    names = [path.name for path in folder.iterdir()]
    assert len(names) == 2
    assert all(name.startswith("me.") and name.endswith(".pt.trace.json") for name in names)


# ------------------------------------------------------------------------ arguments


def test_devices():
    assert supported_activities() == {ProfilerActivity.CPU}
    with pytest.warns(UserWarning, match="CUDA is not available, disabling CUDA profiling"):
        profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA])
    with pytest.raises(AssertionError, match="No valid profiler activities found"):
        profile(activities=[])
    with pytest.raises(TypeError, match="Expected ProfilerActivity or dict"):
        profile(activities=["cpu"])
    with pytest.warns(FutureWarning, match="use_cuda"):
        profile(use_cuda=False)


def test_what_is_not_supported_says_so():
    for name in ("profile_memory", "experimental_config", "execution_trace_observer"):
        with pytest.raises(NotImplementedError, match=name):
            profile(**{name: True})
    with pytest.raises(NotImplementedError, match="use_kineto"):
        older.profile(use_kineto=True)


def test_nothing_recorded():
    idle = profile()
    with pytest.raises(AssertionError, match="must be initialized before getting key averages"):
        idle.key_averages()
    with pytest.raises(AssertionError, match="must be initialized before exporting chrome trace"):
        idle.export_chrome_trace("nowhere.json")


def test_one_profile_at_a_time():
    with profile(), pytest.raises(RuntimeError, match="already enabled"):
        profile().start()


def test_the_older_form():
    with older.profile(record_shapes=True) as recorded, older.record_function("part"):
        work()
    assert "fakel::mm" in str(recorded)
    assert recorded.key_averages().self_cpu_time_total == pytest.approx(
        recorded.self_cpu_time_total
    )
    assert recorded.total_average().count == len(recorded.function_events)
    with older.profile(enabled=False) as idle:
        work()
    with pytest.raises(RuntimeError, match="didn't finish"):
        idle.key_averages()


def test_names_in_torch():
    assert fakel.profiler.profile is profile
    assert fakel.autograd.profiler.record_function is record_function
