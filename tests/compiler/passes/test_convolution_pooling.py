"""Convolution, ReLU and pooling as one kernel, forward and backward."""

import pytest

import fakel
import fakel.nn.functional as F
from fakel.compiler.passes.convolution_pooling import JoinConvolutionPooling
from fakel.compiler.passes.dead import DropUnread
from fakel.compiler.passes.relu_gradient import MaskPooled
from fakel.graph import flush
from tests.support.graphs import check, graph_of, text_of

GEOMETRY = "geometry=Geometry(stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1)"
WINDOW = (
    "window=Window(kernel=(4, 4), stride=(4, 4), padding=(0, 0), dilation=(1, 1), output=(2, 2))"
)


def training(relu=True, input_gradient=False, pool=4, stride=None, keep=False):
    """A function that records a convolution, ReLU, pooling and their gradients."""

    def record():
        fakel.manual_seed(1)
        x = fakel.randn(3, 2, 12, 12, requires_grad=input_gradient)
        w = fakel.randn(5, 2, 5, 5, requires_grad=True)
        b = fakel.randn(5, requires_grad=True)
        flush()
        y = F.conv2d(x, w, b)
        activated = F.relu(y) if relu else y
        pooled = F.max_pool2d(activated, pool, stride)
        (pooled * pooled).sum().backward()
        found = [pooled.detach(), w.grad, b.grad]
        if keep:
            found.append(activated.detach())
        return [*found, x.grad] if input_gradient else found

    return record


def test_text():
    graph = graph_of(training())
    text = text_of(graph, MaskPooled(), DropUnread(), JoinConvolutionPooling())
    assert (
        "  convolution_pooling\n"
        f"    %0 = convolution($0, $1, $2, {GEOMETRY}) : float32[3, 5, 8, 8]\n"
        "    %1 = relu(%0) : float32[3, 5, 8, 8]\n"
        f"    %2 = max_pool(%1, {WINDOW}) : (float32[3, 5, 2, 2], int64[3, 5, 2, 2])\n"
        "  %3 = output(%2, index=0) : float32[3, 5, 2, 2]\n"
        "  %4 = output(%2, index=1) : int64[3, 5, 2, 2]\n"
    ) in text
    assert (
        "  pooled_weight_gradient\n"
        "    %11 = relu_gradient(%10, %3) : float32[3, 5, 2, 2]\n"
        "    %12 = max_pool_gradient(%11, %4, size=(8, 8)) : float32[3, 5, 8, 8]\n"
        f"    %13 = convolution_weight_gradient($0, %12, kernel=(5, 5), {GEOMETRY}) : "
        "float32[5, 2, 5, 5]\n"
        "    %14 = sum(%12, dims=(0, 2, 3), keepdim=False, size=(3, 5, 8, 8)) : float32[5]\n"
    ) in text


def kernels(program):
    return [step.kernel.name for step in program.steps]


def test_both_are_one_kernel_each():
    names = kernels(check(training()))
    assert any(name.endswith("and_pool") for name in names) and "sparse_weight_gradient" in names
    assert not {
        "correlate",
        "correlate_rows",
        "max_pool",
        "max_pool_gradient",
        "weight_gradient",
    } & set(names)


@pytest.mark.parametrize(
    "case",
    [
        {"relu": False},
        {"input_gradient": True},
        {"pool": 3, "stride": 2},
        {"keep": True},
        {"pool": 2},
    ],
    ids=str,
)
def test_what_else_is_wanted_is_still_right(case):
    check(training(**case))


def test_the_map_is_stored_where_somebody_keeps_it():
    assert "correlate_rows" in kernels(check(training(keep=True)))


def test_nan_and_infinity_pass_as_they_do_without_the_pass():
    def record():
        x = fakel.tensor([[0.0, -1, float("nan"), 2, float("inf"), -3, -0.0, -0.0]]).view(
            1, 1, 1, 8
        )
        x.requires_grad_()
        pooled = F.max_pool2d(F.relu(x), (1, 2))
        (pooled * fakel.tensor([1.0, 2, float("inf"), 4])).sum().backward()
        return [x.grad]

    check(record)
