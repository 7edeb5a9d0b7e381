"""Recordings: rows are timed on every thread, spans on Python's, nothing when none is active."""

from __future__ import annotations

import numpy as np
import pytest

from fakel.runtime import trace
from tests.runtime.kernels import ORDERED, PARALLEL, Program, count_up, delay, fail, shape


@pytest.fixture
def record():
    """Records what a function does."""

    def run(function, **options):
        recording = trace.Recording(**options)
        trace.start(recording)
        try:
            function()
        finally:
            trace.stop()
        return recording

    yield run
    assert trace.active is None


def labelled(program, *names):
    program.table[:, 3] = [trace.number_of(trace.Label(name)) for name in names]
    return program


def test_rows_are_timed_where_they_run(threads, record):
    threads(3)
    slots = np.zeros(3, np.int64)
    program = labelled(
        Program(
            (count_up, [slots], PARALLEL),
            (delay, [0, 100_000], 0),
            (count_up, [slots], PARALLEL | ORDERED),
        ),
        "first",
        "alone",
        "last",
    )
    recording = record(program.run, keep=True)
    assert slots.tolist() == [2, 2, 2]
    (run,) = recording.runs
    assert run.parallel.tolist() == [True, False, True]
    begins, ends = run.stamps[..., 0], run.stamps[..., 1]
    assert (begins[[0, 2]] > 0).all() and begins[1].tolist()[1:] == [0, 0]
    assert (begins <= ends).all()
    assert run.begin <= begins[begins > 0].min() and ends.max() <= run.end
    # the last row waits for the one before it, on every thread
    assert (begins[2] >= ends[1, 0]).all() and (begins[2] >= ends[0].max()).all()
    totals = {trace.label_of(n).kernel: t for n, t in recording.row_totals.items()}
    assert {n: total.calls for n, total in totals.items()} == {"first": 1, "alone": 1, "last": 1}
    assert totals["alone"].time == ends[1, 0] - begins[1, 0] > 0
    assert totals["last"].time == (ends - begins)[2].sum() // 3
    assert recording.native.time == run.end - run.begin


def test_the_team_is_timed_only_while_a_recording_is_active(threads, record):
    threads(2)
    out = np.zeros(2, np.int64)
    program = Program((shape, [out], PARALLEL))
    program.run()
    assert not record(lambda: None).native.calls
    for calls in (1, 3):
        recording = record(lambda calls=calls: [program.run() for _ in range(calls)])
        assert recording.native.calls == calls == recording.row_totals[0].calls
        assert not recording.runs
        program.run()
    assert out.tolist() == [200, 201]


def test_failures_are_reported_as_ever(threads, record):
    threads(2)
    out = np.zeros(2, np.int64)
    program = Program((fail, [0, 5], PARALLEL), (shape, [out], PARALLEL | ORDERED))
    statuses = []
    recording = record(lambda: statuses.append(program.run()), keep=True)
    assert statuses == [5] == [program.run()]
    assert not recording.runs[0].stamps[1].any()


def test_labels_that_are_equal_have_one_number():
    one = trace.number_of(trace.Label("k", ("mm",), ((2, 3),), 12, 24))
    assert one == trace.number_of(trace.Label("k", ("mm",), ((2, 3),), 12, 24))
    assert one != trace.number_of(trace.Label("k", ("mm",), ((3, 3),), 12, 24))
    assert trace.label_of(one) == trace.Label("k", ("mm",), ((2, 3),), 12, 24)


def test_spans(record):
    def work():
        with trace.span("user", "outer"):
            for _ in range(2):
                with trace.span("user", "inner", ((2, 3),)):
                    pass

    work()
    recording = record(work, keep=True)
    totals = {name: total.calls for (_, name), total in recording.span_totals.items()}
    assert totals == {"inner": 2, "outer": 1}
    first, second, outer = recording.spans
    assert first.shapes == ((2, 3),)
    assert outer.begin <= first.begin <= first.end <= second.begin <= second.end <= outer.end
    assert recording.begin <= outer.begin and outer.end <= recording.end


def test_what_is_kept_is_bounded(record, monkeypatch):
    monkeypatch.setattr(trace, "MOST_EVENTS", 3)

    def work():
        for _ in range(5):
            with trace.span("user", "again"):
                pass

    recording = record(work, keep=True)
    assert len(recording.spans) == 3 and recording.left_out == 2
    assert recording.span_totals["user", "again"].calls == 5


def test_one_recording_at_a_time(record):
    def again():
        with pytest.raises(RuntimeError, match="already enabled"):
            trace.start(trace.Recording())

    record(again)
    with pytest.raises(RuntimeError, match="not running"):
        trace.stop()
