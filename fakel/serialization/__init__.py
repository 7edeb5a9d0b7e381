"""Saving and loading: `torch.save`, `torch.load` and `torch.serialization`."""

from fakel.serialization.allowed import (
    add_safe_globals,
    clear_safe_globals,
    get_safe_globals,
    safe_globals,
)
from fakel.serialization.loading import get_unsafe_globals_in_checkpoint, load
from fakel.serialization.locations import default_restore_location, location_tag
from fakel.serialization.saving import save

__all__ = [
    "add_safe_globals",
    "clear_safe_globals",
    "default_restore_location",
    "get_safe_globals",
    "get_unsafe_globals_in_checkpoint",
    "load",
    "location_tag",
    "safe_globals",
    "save",
]
