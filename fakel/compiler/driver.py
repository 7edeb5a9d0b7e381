"""The compiler from end to end: a graph in, a program out."""

from __future__ import annotations

from collections.abc import Iterable

from fakel.compiler import kernels
from fakel.compiler.graph import Graph
from fakel.compiler.passes.common import ShareCommon
from fakel.compiler.passes.convolution_pooling import JoinConvolutionPooling
from fakel.compiler.passes.cross_entropy import JoinCrossEntropy
from fakel.compiler.passes.dead import DropUnread
from fakel.compiler.passes.donation import UpdateInPlace
from fakel.compiler.passes.pooled_normalization import SplitPooledNormalization
from fakel.compiler.passes.product_epilogue import JoinEpilogues
from fakel.compiler.passes.product_shape import KeepProductShape
from fakel.compiler.passes.product_updates import JoinUpdates
from fakel.compiler.passes.relu_gradient import MaskPooled
from fakel.compiler.passes.slices import JoinSlices
from fakel.compiler.passes.views import ComposeViews
from fakel.compiler.planning.assemble import Planned
from fakel.compiler.planning.plan import Plan
from fakel.graph import Node

PASSES = (
    # values are changed, then grouped; a value is in one group, that of the first pass to want it
    KeepProductShape(),
    ComposeViews(),
    ShareCommon(),
    JoinSlices(),
    MaskPooled(),
    SplitPooledNormalization(),
    DropUnread(),
    UpdateInPlace(),
    JoinConvolutionPooling(),
    JoinCrossEntropy(),
    JoinUpdates(),
    JoinEpilogues(),
)


def optimized(graph: Graph) -> Graph:
    """The graph after all passes."""
    for each in PASSES:
        graph = each(graph)
    return graph


def compile_program(
    program: list[Node], leaves: list[Node], donated: Iterable[int] = ()
) -> Planned:
    """Plans and compiles a program; its nodes stay as they are.

    Args:
        program: the nodes, in order.
        leaves: the computed nodes that they read.
        donated: the numbers of leaves whose arrays nobody needs after the run.
    """
    kernels.load()
    plan = Plan(optimized(Graph.of(program, leaves, donated)))
    plan.lower()
    return Planned(plan)
