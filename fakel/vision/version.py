"""torchvision.version: the version of torchvision that fakel follows."""

__version__ = "0.28.0+fakel"
