"""torchvision on fakel: datasets, transforms, models and utilities for images."""

from fakel.vision import datasets, io, models, transforms, utils
from fakel.vision.version import __version__

__all__ = ["__version__", "datasets", "io", "models", "transforms", "utils"]
