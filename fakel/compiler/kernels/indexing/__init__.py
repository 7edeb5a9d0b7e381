"""Picking and placing by index tensors, whose indices are checked."""
