"""How values end up as steps."""

import fakel
import fakel.nn.functional as F
from fakel.compiler.planning.lowering import Interpreted
from fakel.graph import flush
from tests.support.graphs import check


def test_what_no_kernel_can_read_is_copied_first():
    def record():
        x = fakel.arange(2.0 * 3 * 8 * 6).reshape(2, 3, 8, 6).sin().requires_grad_()
        weight = fakel.arange(2.0 * 3 * 3 * 4).reshape(2, 3, 3, 4).cos()
        flush()
        # the gradient of pooling is a transposed tensor
        (F.max_pool2d(x, 2).transpose(2, 3) * weight).sum().backward()
        return [x.grad]

    program = check(record)
    assert not any(isinstance(step, Interpreted) for step in program.steps)
    assert "copy" in [step.kernel.name for step in program.steps]


def test_parts_of_a_transposed_convolution_need_no_barrier():
    x, weight = fakel.randn(2, 3, 5, 5), fakel.randn(3, 4, 3, 3)
    program = check(lambda: [F.conv_transpose2d(x, weight, stride=2)])
    names = [[step.kernel.name for step in group] for group in program.groups]
    calls = [sum(name.startswith("correlate") for name in group) for group in names]
    assert max(calls) == 4
