"""``torch.backends.mps``: fakel does not use it."""


def is_available() -> bool:
    """False: fakel does not use it."""
    return False


def is_built() -> bool:
    """False: fakel does not use it."""
    return False
