"""`%load_ext fakel`: the aliases in a notebook."""

from __future__ import annotations

from typing import Any


def load_ipython_extension(shell: Any) -> None:
    """What `%load_ext fakel` calls: from now on `import torch` gives fakel."""
    from fakel.compat import alias

    alias.install()


def unload_ipython_extension(shell: Any) -> None:
    """What `%unload_ext fakel` calls."""
    from fakel.compat import alias

    alias.uninstall()
