"""The interpreter: one of the two executors, and the definition of every operator."""

from fakel.interpreter.evaluate import Interpreter, evaluate, narrow, widen

__all__ = ["Interpreter", "evaluate", "narrow", "widen"]
