"""Where the storages of a checkpoint go: `map_location`. There is one place, the CPU."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from fakel.tensor import device
from fakel.tensor.untyped_storage import UntypedStorage

Location = Callable[[Any, str], Any]


def restore_location(map_location: Any) -> Location:
    """The function that takes a storage and the place it was saved from to the storage to use.

    Args:
        map_location: None, a device or its name, a dictionary of names, or a function of a storage
            and a name that returns a storage, or None to leave the choice to fakel.
    """
    if map_location is None:
        return default_restore_location
    if isinstance(map_location, dict):
        return lambda storage, place: default_restore_location(
            storage, map_location.get(place, place)
        )
    if isinstance(map_location, bytes):
        map_location = map_location.decode("ascii")
    if isinstance(map_location, (str, device)):
        name = str(map_location)
        return lambda storage, place: default_restore_location(storage, name)
    if not callable(map_location):
        raise TypeError(f"{type(map_location).__name__!r} object is not callable")

    def ask(storage: Any, place: str) -> Any:
        result = map_location(storage, place)
        if result is None:
            return default_restore_location(storage, place)
        result = getattr(result, "_untyped_storage", result)
        if not isinstance(result, UntypedStorage):
            raise TypeError(f"map_location returned {type(result).__name__}, expected a storage")
        return result

    return ask


def default_restore_location(storage: Any, location: str) -> Any:
    """The storage itself when `location` is the CPU.

    Raises:
        RuntimeError: for every other location, with the error of a PyTorch built for the CPU.
    """
    if location == "cpu":
        return storage
    found = re.match(r"(cuda|hpu|xpu|mtia)(:|\d|$)", location)
    if found:
        kind = found[1]
        raise RuntimeError(
            f"Attempting to deserialize object on a {kind.upper()} device but "
            f"torch.{kind}.is_available() is False. If you are running on a CPU-only machine, "
            "please use torch.load with map_location=torch.device('cpu') to map your storages to "
            "the CPU."
        )
    if location.startswith(("mps", "meta")):
        raise RuntimeError(
            f"torch.UntypedStorage(): Storage device not recognized: {location} (fakel has the CPU "
            "only; map_location='cpu' maps storages to it)"
        )
    raise RuntimeError(
        "don't know how to restore data location of torch.storage.UntypedStorage (tagged with "
        f"{location})"
    )


def location_tag(storage: Any) -> str:
    """The name of the place where a storage lies, as files record it."""
    return "cpu"
