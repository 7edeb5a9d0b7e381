"""The command line: `fakel run`, `fakel profile`, `fakel cache`, `fakel doctor`."""
