"""Pointwise operators: what they compute, which of them are computed together, and the loops."""
