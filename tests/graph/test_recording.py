"""Recording and flushing: what is computed, when, how often, and what survives a failure."""

import gc
import os
import sys
import threading

import numpy as np
import pytest

import fakel
from fakel.graph import OUTPUT, AtOnce, Operator, flush, leaf, record
from fakel.graph import record as record_node
from fakel.graph.record import PENDING_NODES, _recorder
from fakel.tensor import Tensor, dtypes


def counted(calls, name="counted"):
    """An operator that doubles its input and counts how often it ran."""

    def meaning(input):
        calls.append(input.shape)
        return input * 2

    return Operator(name, meaning)


def source(*shape):
    return leaf(np.ones(shape, np.float32), dtypes.float32)


@pytest.fixture(autouse=True)
def nothing_pending():
    flush()
    yield
    flush()


def test_nothing_is_computed_until_somebody_looks():
    calls = []
    tensor = Tensor._from_node(record(counted(calls), (source(3),), {}, (3,), dtypes.float32))
    assert not calls
    assert tensor.tolist() == [2, 2, 2]
    assert len(calls) == 1


def test_a_value_is_computed_once():
    calls = []
    node = record(counted(calls), (source(3),), {}, (3,), dtypes.float32)
    first = Tensor._from_node(record(counted(calls), (node,), {}, (3,), dtypes.float32))
    second = Tensor._from_node(record(counted(calls), (node,), {}, (3,), dtypes.float32))
    del node
    assert first.tolist() == second.tolist() == [4, 4, 4]
    first.tolist()
    assert len(calls) == 3


def test_what_nobody_refers_to_is_never_computed():
    calls = []
    node = record(counted(calls), (source(3),), {}, (3,), dtypes.float32)
    node = record(counted(calls), (node,), {}, (3,), dtypes.float32)
    del node
    flush()
    assert not calls


def test_an_intermediate_value_is_freed_as_soon_as_its_reader_has_run():
    freed = []

    class Watched(np.ndarray):
        def __del__(self):
            freed.append(True)

    def make(input):
        return np.ones(3, np.float32).view(Watched)

    def look(input):
        gc.collect()
        freed.append("look")
        return np.array(input)

    made = record(Operator("make", make), (source(3),), {}, (3,), dtypes.float32)
    read = record(
        Operator("read", lambda input: np.array(input)), (made,), {}, (3,), dtypes.float32
    )
    last = Tensor._from_node(record(Operator("look", look), (read,), {}, (3,), dtypes.float32))
    del made, read
    last.tolist()
    assert freed.index(True) < freed.index("look")


def test_a_failing_node_raises_where_it_is_looked_at_and_spares_the_others():
    def fail(input):
        raise IndexError("index 7 is out of bounds")

    good_before = Tensor._from_node(record(counted([]), (source(2),), {}, (2,), dtypes.float32))
    bad_node = record(Operator("fail", fail), (source(2),), {}, (2,), dtypes.float32)
    bad = Tensor._from_node(bad_node)
    after_bad = Tensor._from_node(record(counted([]), (bad_node,), {}, (2,), dtypes.float32))
    del bad_node
    good_after = Tensor._from_node(record(counted([]), (source(2),), {}, (2,), dtypes.float32))
    with pytest.raises(IndexError, match="index 7"):
        flush()
    assert good_after.tolist() == [2, 2]
    assert good_before.tolist() == [2, 2]
    for broken in (bad, after_bad):
        with pytest.raises(IndexError, match="index 7"):
            broken.tolist()


def test_an_interruption_leaves_the_rest_recorded():
    state = {"interrupt": True}

    def meaning(input):
        if state["interrupt"]:
            raise KeyboardInterrupt
        return input + 1

    tensor = Tensor._from_node(
        record(Operator("slow", meaning), (source(2),), {}, (2,), dtypes.float32)
    )
    with pytest.raises(KeyboardInterrupt):
        tensor.tolist()
    state["interrupt"] = False
    assert tensor.tolist() == [2, 2]


def test_a_loop_that_never_looks_stays_bounded():
    tensor = fakel.zeros(1)
    for _ in range(3 * PENDING_NODES):
        tensor = tensor + 1
        assert len(_recorder.pending) <= PENDING_NODES + 2
    assert tensor.item() == 3 * PENDING_NODES


def test_recording_in_several_threads():
    results = {}

    def work(number):
        total = fakel.zeros(4)
        for step in range(200):
            total = total + number
            if step % 17 == number:
                total.tolist()
        results[number] = total

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, total in results.items():
        assert total.tolist() == [200 * number] * 4


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_pending_work_can_be_finished_in_a_forked_process():
    tensor = fakel.ones(3) * 5
    child = os.fork()
    if not child:
        os._exit(0 if tensor.tolist() == [5, 5, 5] else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert tensor.tolist() == [5, 5, 5]


def test_the_interpreter_refuses_a_meaning_that_breaks_its_announced_shape():
    tensor = Tensor._from_node(record_node(counted([]), (source(3),), {}, (4,), dtypes.float32))
    with pytest.raises(AssertionError, match="announced"):
        tensor.tolist()


def test_small_nodes_are_computed_at_once_where_that_is_asked_for():
    calls = []
    inside = outside = None
    with AtOnce(), AtOnce():
        pass
    with AtOnce():
        inside = record(counted(calls), (source(3),), {}, (3,), dtypes.float32)
        assert calls == [(3,)]
        np.testing.assert_array_equal(inside.value, [2, 2, 2])
        assert inside.inputs == ()
    outside = record(counted(calls), (inside,), {}, (3,), dtypes.float32)
    assert outside.value is None
    with AtOnce():
        later = record(counted(calls), (outside,), {}, (3,), dtypes.float32)
        large = record(counted(calls), (source(1 << 19),), {}, (1 << 19,), dtypes.float32)
    assert later.value is None
    assert large.value is None
    flush()
    assert calls == [(3,), (3,), (3,), (1 << 19,)]
    np.testing.assert_array_equal(later.value, [8, 8, 8])


def test_an_error_at_once_is_raised_where_it_happens_and_leaves_nothing_pending():
    def fail(input):
        raise ValueError("no")

    with AtOnce(), pytest.raises(ValueError, match="no"):
        record(Operator("failing", fail), (source(2),), {}, (2,), dtypes.float32)
    assert _recorder.at_once == 0
    assert _recorder.pending == []


def test_gradients_and_writes_at_once():
    def trained():
        weight = fakel.ones(3, requires_grad=True)
        y = weight * 2
        y[1] = 5.0
        y.add_(1)
        (y * y).sum().backward()
        return y, weight.grad

    expected = [each.tolist() for each in trained()]
    with AtOnce():
        actual = [each.tolist() for each in trained()]
    assert actual == expected == [[3.0, 6.0, 3.0], [12.0, 0.0, 12.0]]


def test_several_outputs_are_never_parted_by_a_flush(monkeypatch):
    """However much is pending, no program begins with a node whose value is several arrays."""
    monkeypatch.setattr(sys.modules["fakel.graph.record"], "PENDING_NODES", 0)
    kinds = (dtypes.float32, dtypes.float32)
    both = Operator("both", lambda input: (input, input + 1))
    node = record_node(both, (leaf(np.zeros(2, np.float32), kinds[0]),), {}, ((2,), (2,)), kinds)
    outputs = [record_node(OUTPUT, (node,), {"index": i}, (2,), kinds[i]) for i in (0, 1)]
    assert node.value is None
    after = record_node(Operator("sum", np.add), tuple(outputs), {}, (2,), kinds[0])
    assert after.value.tolist() == [1.0, 1.0] and outputs[1].value.tolist() == [1.0, 1.0]
