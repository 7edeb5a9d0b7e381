"""Passes, one a file: each makes a new graph of one, or groups of its values."""
