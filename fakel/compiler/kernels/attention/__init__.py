"""Attention, forward and backward, on the blocks of queries that `blocks` has for both."""
