"""The compiler from end to end: a graph in, a program out."""

from __future__ import annotations

from fakel.compiler import kernels
from fakel.compiler.plan import Plan
from fakel.compiler.pointwise import Fusion
from fakel.compiler.program import Program
from fakel.graph import Node


def compile_program(program: list[Node], leaves: list[Node]) -> Program:
    """Plans and compiles a program; its nodes stay as they are."""
    kernels.load()
    plan = Plan(program, leaves)
    plan.lower(Fusion())
    return Program(plan)
