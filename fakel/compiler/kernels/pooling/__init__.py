"""Pooling: `lowerings` chooses between `windows` of fixed size and `adaptive` ones."""
