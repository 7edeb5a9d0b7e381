"""What lets programs that say `import torch` run on fakel: scripts, their workers, notebooks."""

from fakel.compat.alias import install, uninstall
from fakel.compat.notebook import load_ipython_extension, unload_ipython_extension
from fakel.compat.version import TorchVersion

__all__ = [
    "TorchVersion",
    "install",
    "load_ipython_extension",
    "uninstall",
    "unload_ipython_extension",
]
