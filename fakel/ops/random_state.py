"""Seeds and states of the default generator: ``manual_seed``, ``get_rng_state``, ``fork_rng``."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

from fakel.ops.declare import function
from fakel.tensor import Tensor
from fakel.tensor.device import check_device
from fakel.tensor.generator import Generator, default_generator


@function
def manual_seed(seed: Any) -> Generator:
    """Starts the default generator's stream for a seed. Returns the generator.

    Args:
        seed: from -2**63 to 2**64 - 1; a negative one counts as 2**64 more.
    """
    return default_generator.manual_seed(int(seed))


@function
def seed() -> int:
    """Starts the default generator with a seed from the operating system. Returns the seed."""
    return default_generator.seed()


@function
def initial_seed() -> int:
    """The seed that the default generator's stream started with."""
    return default_generator.initial_seed()


@function
def get_rng_state() -> Tensor:
    """The state of the default generator, as a tensor of bytes."""
    return default_generator.get_state()


@function
def set_rng_state(new_state: Tensor) -> None:
    """Takes the default generator back to a state.

    Args:
        new_state: what ``get_rng_state`` returned.
    """
    default_generator.set_state(new_state)


@contextlib.contextmanager
def fork_rng(
    devices: Iterable[Any] | None = None,
    enabled: bool = True,
    _caller: str = "fork_rng",
    _devices_kw: str = "devices",
    device_type: str | None = None,
) -> Iterator[None]:
    """Within the block random numbers are drawn as ever; after it the generator is as before.

    Args:
        devices: devices besides the CPU; there are none.
        enabled: whether to do so at all.
        device_type: the type of those devices.
    """
    if not enabled or device_type == "meta":
        yield
        return
    for each in devices or ():
        check_device(f"{device_type or 'cuda'}:{each}" if isinstance(each, int) else each)
    state = default_generator.state_bytes()
    try:
        yield
    finally:
        default_generator.load_state_bytes(state)


def thread_safe_generator() -> Generator | None:
    """The generator of a thread that loads data. None: they are processes here, with their own."""
    return None
