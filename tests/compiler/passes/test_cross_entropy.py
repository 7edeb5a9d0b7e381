"""Cross-entropy and its gradient as one kernel."""

import numpy as np
import pytest

import fakel
import fakel.nn.functional as F
from fakel.compiler.executor import Compiler
from fakel.compiler.passes.common import ShareCommon
from fakel.compiler.passes.cross_entropy import JoinCrossEntropy
from fakel.compiler.passes.dead import DropUnread
from fakel.compiler.passes.views import ComposeViews
from fakel.graph import flush
from tests.support.graphs import check, executor, graph_of, text_of

OPTIONS = "ignore_index=-100, reduction=mean"


def training(rows=6, classes=5, backward=True, ignored=None, square=False, **options):
    def record():
        rng = np.random.default_rng(0)
        x = fakel.tensor(rng.standard_normal((rows, classes)).astype("f4") * 4)
        x.requires_grad_(backward)
        target = rng.integers(0, classes, rows)
        if ignored is not None:
            target[ignored] = -100
        y = fakel.tensor(target)
        flush()
        loss = F.cross_entropy(x, y, **options)
        if backward:
            (loss * loss if square else loss).sum().backward()
        return [loss.detach(), x.grad] if backward else [loss]

    return record


def test_text():
    graph = graph_of(training())
    text = text_of(graph, ComposeViews(), ShareCommon(), DropUnread(), JoinCrossEntropy())
    assert text.replace(" donated", "") == (
        "graph($0: float32[6, 5], $1: int64[6], $2: float32[])\n"
        "  %0 = full($2, size=()) : float32[]\n"
        "  cross_entropy\n"
        "    %1 = log_softmax($0, dim=1) : float32[6, 5]\n"
        f"    %2 = nll_loss(%1, $1, none, {OPTIONS}) : (float32[], float32[])\n"
        "    %3 = output(%2, index=0) : float32[]\n"
        "    %4 = output(%2, index=1) : float32[]\n"
        f"    %5 = nll_loss_gradient(%0, $1, none, %4, size=(6, 5), {OPTIONS}) : float32[6, 5]\n"
        "    %6 = log_softmax_gradient(%5, %1, dim=1) : float32[6, 5]\n"
        "  return %3, %6\n"
    )


def names(program):
    return [step.kernel.name for step in program.steps]


@pytest.mark.parametrize("rows", [6, 900])
@pytest.mark.parametrize("classes", [2, 5, 10, 65])
def test_forward_and_backward_are_one_kernel(rows, classes):
    found = names(check(training(rows, classes)))
    assert "cross_entropy" in found
    assert not any(name.startswith(("log_softmax", "nll_loss")) for name in found)


@pytest.mark.parametrize(
    ("options", "joined"),
    [
        ({"backward": False}, True),
        ({"backward": False, "rows": 900, "classes": 11}, True),
        ({"reduction": "sum"}, True),
        ({"ignored": 2}, True),
        ({"ignored": slice(None)}, True),
        ({"ignored": [0, 5], "rows": 900, "classes": 11}, True),
        ({"reduction": "none"}, False),
        ({"square": True}, False),  # the gradient depends on the loss
        ({"classes": 1}, False),
    ],
    ids=str,
)
def test_options(options, joined):
    assert ("cross_entropy" in names(check(training(**options)))) == joined


def test_special_values():
    def record():
        x = fakel.tensor(
            [
                [float("nan"), 0.0, 1.0],
                [float("inf"), 0.0, 1.0],
                [-float("inf"), 0.0, 1.0],
                [1e30, -1e30, 0.0],
            ],
            requires_grad=True,
        )
        y = fakel.tensor([1, 1, 1, 0])
        flush()
        loss = F.cross_entropy(x, y, reduction="sum")
        loss.backward()
        return [loss.detach(), x.grad]

    check(record)


def test_a_wrong_target_raises_as_it_does_without_the_kernel():
    with executor(Compiler(eager=True)):
        x = fakel.randn(4, 3, requires_grad=True)
        y = fakel.tensor([0, 1, 2, 0])
        flush()
        loss = F.cross_entropy(x, y + 2)
        loss.backward()
        with pytest.raises(IndexError, match="Target 3 is out of bounds"):
            loss.item()
