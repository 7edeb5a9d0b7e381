"""Gradients of slices of one tensor."""

import numpy as np

import fakel
from fakel.compiler.passes.dead import DropUnread
from fakel.compiler.passes.slices import JoinSlices
from fakel.compiler.passes.views import ComposeViews
from tests.support.graphs import check, graph_of, text_of

PASSES = ComposeViews(), JoinSlices(), DropUnread()


def gradient_of(pieces, shape, gradients):
    """Records the gradient of a tensor of which pieces were taken."""
    x = fakel.zeros(*shape).requires_grad_()
    made = [fakel.tensor(each) for each in gradients]
    fakel.graph.flush()
    return lambda: fakel.autograd.grad(list(pieces(x)), [x], made)


def numbers(*shape):
    return (np.arange(np.prod(shape), dtype=np.float32) + 1).reshape(shape)


def test_slices_are_put_side_by_side():
    record = gradient_of(lambda x: x.split([2, 1], 1), (2, 3), [numbers(2, 2), numbers(2, 1)])
    text = text_of(graph_of(record), *PASSES)
    assert "join_slices($1, $0, shape=(2, 3), dim=1, places=((0, 2), (2, 1)))" in text
    assert "add" not in text and "embed_slice" not in text
    check(record)
    np.testing.assert_array_equal(record()[0].numpy(), [[1, 2, 1], [3, 4, 2]])


def test_what_no_slice_covers_is_zero():
    record = gradient_of(lambda x: (x[1:2], x[4:6]), (8, 70), [numbers(1, 70), numbers(2, 70)])
    program = check(record)
    assert "join_slices" in repr(program.plan.graph)
    (found,) = record()
    assert found[1:2].numpy().all() and found[4:6].numpy().all()
    assert not found[[0, 2, 3, 6, 7]].numpy().any()


def test_slices_that_overlap_are_added():
    record = gradient_of(lambda x: (x[:3], x[2:]), (5, 2), [numbers(3, 2), numbers(3, 2)])
    assert "join_slices" not in text_of(graph_of(record), *PASSES)
    check(record)
    np.testing.assert_array_equal(record()[0].numpy()[2], [6, 8])


def test_slices_of_different_dimensions_are_added():
    record = gradient_of(lambda x: (x[:3], x[:, :1]), (5, 2), [numbers(3, 2), numbers(5, 1)])
    assert "join_slices" not in text_of(graph_of(record), *PASSES)
    check(record)


def test_rows_taken_one_by_one():
    gradients = [numbers(3) * i for i in (1, 2, 3)]
    record = gradient_of(lambda x: x.unbind(0), (3, 3), gradients)
    assert "join_slices" in repr(check(record).plan.graph)
    np.testing.assert_array_equal(record()[0].numpy(), gradients)


def test_heads_are_copied_from_where_they_lie():
    """Parts that are made contiguous to merge dimensions need no copy of their own."""

    def heads(x):
        return [each.view(2, 5, 3, 4).transpose(1, 2) for each in x.split(12, 2)]

    gradients = [numbers(2, 3, 5, 4) * i for i in (1, 2, 3)]
    record = gradient_of(heads, (2, 5, 36), gradients)
    text = text_of(graph_of(record), *PASSES)
    assert "join_slices" in text and "copy" not in text
    check(record)
    expected = [each.swapaxes(1, 2).reshape(2, 5, 12) for each in gradients]
    np.testing.assert_array_equal(record()[0].numpy(), np.concatenate(expected, 2))


def test_what_has_no_kernel_is_joined_by_the_interpreter():
    def record():
        x = fakel.zeros(2, 3, dtype=fakel.bfloat16).requires_grad_()
        (x[:, :2].sum() + 2 * x[:, 2:].sum()).backward()
        return [x.grad.float()]

    assert "join_slices" in repr(check(record).plan.graph)
    np.testing.assert_array_equal(record()[0].numpy(), [[1, 1, 2], [1, 1, 2]])
