"""Copies: with any strides, in other orders, of a number, of parts that are put together."""
