"""The command line: `fakel run`, `fakel doctor`."""
