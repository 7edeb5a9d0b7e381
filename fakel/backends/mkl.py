"""``torch.backends.mkl``: fakel does not use it."""


def is_available() -> bool:
    """False: fakel does not use it."""
    return False
