"""``torch.Generator``: PyTorch's CPU random number generator, MT19937, on NumPy's bit generator.

PyTorch seeds it as NumPy's legacy seeding does and takes the same 32-bit draws, so NumPy draws them
in bulk. What the draws become is in ``sampling.py``.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from fakel.tensor.device import check_device, device
from fakel.tensor.dtypes import uint8
from fakel.tensor.tensor import Tensor

DEFAULT_SEED = 67280421310721
_WORDS = 624  # 32-bit words of MT19937's state
_FEW = 1000  # up to this many draws the bit generator's own method has the smaller overhead

# PyTorch's saved state. The words are kept in 64 bits each, and the numbers of the normal
# distribution's first two fields have not been used for years.
_STATE = np.dtype(
    {
        "names": ["seed", "left", "seeded", "next", "words", "normal", "normal_is_valid"],
        "formats": ["<u8", "<i4", "<i4", "<u8", ("<u8", _WORDS), "<f8", "<i4"],
        "offsets": [0, 8, 12, 16, 24, 5024, 5040],
        "itemsize": 5056,
    }
)


class Generator:
    """A source of random numbers: PyTorch's CPU stream for the same seed.

    Args:
        device: only the CPU.
    """

    __slots__ = (
        "__weakref__",
        "_bits",
        "_fresh",
        "_next_normal",
        "_seed",
        "_seeder",
        "_words",
        "draws",
    )

    def __init__(self, device: Any = "cpu") -> None:
        check_device(device)
        self._bits = np.random.MT19937(0)
        self._words = np.random.Generator(self._bits)
        self._seeder = np.random.RandomState(self._bits)
        self.draws = 0  # how often something was drawn
        self._restart(DEFAULT_SEED)

    def _restart(self, seed: int) -> None:
        self._seed = seed
        self._seeder.seed(seed & 0xFFFFFFFF)
        self._fresh = True  # nothing drawn since the seeding: the saved state tells the difference
        # the second value of the last Box-Muller pair, where only one was wanted
        self._next_normal: float | None = None

    @property
    def device(self) -> device:
        """The device that the numbers are for: the CPU."""
        return device("cpu")

    # --- seeds and state ---

    def manual_seed(self, seed: int) -> Generator:
        """Starts the stream that belongs to ``seed``. Returns the generator.

        Args:
            seed: from -2**63 to 2**64 - 1; a negative one counts as 2**64 more.
        """
        if isinstance(seed, bool) or not hasattr(seed, "__index__"):
            raise RuntimeError(f"manual_seed expected a long, but got {type(seed).__name__}")
        seed = seed.__index__()
        if not -(1 << 63) <= seed < 1 << 64:
            raise ValueError("Overflow when unpacking long long")
        self._restart(seed % (1 << 64))
        return self

    def seed(self) -> int:
        """Starts a stream with a seed that the operating system draws. Returns that seed."""
        seed = int.from_bytes(os.urandom(8), "little") & ((1 << 53) - 1)
        self._restart(seed)
        return seed

    def initial_seed(self) -> int:
        """The seed that the present stream started with."""
        return self._seed

    def state_bytes(self) -> np.ndarray:
        """The state in PyTorch's layout: 5056 bytes."""
        engine = self._bits.state["state"]
        position = int(engine["pos"])
        state = np.zeros((), _STATE)
        state["seed"] = self._seed
        state["seeded"] = 1
        state["left"] = 1 if position == _WORDS else _WORDS + 1 - position
        state["next"] = 0 if self._fresh else position
        state["words"] = engine["key"]
        if self._next_normal is not None:
            state["normal"] = self._next_normal
            state["normal_is_valid"] = 1
        return np.frombuffer(state.tobytes(), np.uint8).copy()

    def load_state_bytes(self, array: np.ndarray) -> None:
        """Takes over a state in PyTorch's layout.

        Raises:
            RuntimeError: when it has another size or is no state.
        """
        if array.size != _STATE.itemsize:
            raise RuntimeError(
                f"Expected a CPUGeneratorImplState of size {_STATE.itemsize} but found the input "
                f"RNG state size to be {array.size}"
            )
        state = np.frombuffer(np.ascontiguousarray(array).tobytes(), _STATE)[0]
        left, following = int(state["left"]), int(state["next"])
        if not state["seeded"] or not 0 < left <= _WORDS or following > _WORDS:
            raise RuntimeError("Invalid mt19937 state")
        self._seed = int(state["seed"])
        self._bits.state = {
            "bit_generator": "MT19937",
            "state": {
                "key": state["words"].astype(np.uint32),
                "pos": _WORDS if left == 1 else following,
            },
        }
        self._fresh = left == 1 and following == 0
        self._next_normal = float(state["normal"]) if state["normal_is_valid"] else None

    def get_state(self) -> Tensor:
        """The state as a tensor of 5056 bytes, which `set_state` takes, here or in PyTorch."""
        return Tensor._from_array(self.state_bytes())

    def set_state(self, new_state: Tensor) -> Generator:
        """Goes on from a state that `get_state` returned. Returns the generator."""
        if not isinstance(new_state, Tensor):
            raise TypeError(f"expected a torch.ByteTensor, but got {type(new_state).__name__}")
        if new_state.dtype is not uint8:
            raise TypeError("RNG state must be a torch.ByteTensor")
        self.load_state_bytes(new_state._array())
        return self

    def get_offset(self) -> int:
        """Not for the CPU's generator, which has no offset."""
        raise RuntimeError("CPU Generator does not use offset")

    def set_offset(self, offset: int) -> Generator:
        """Not for the CPU's generator, which has no offset."""
        raise RuntimeError("CPU Generator does not use offset")

    def clone_state(self) -> Generator:
        """A generator of its own that goes on with the same numbers."""
        clone = Generator()
        clone.load_state_bytes(self.state_bytes())
        return clone

    def __deepcopy__(self, memo: dict[int, Any]) -> Generator:
        return self.clone_state()

    def __setstate__(self, saved: tuple[int, None, Tensor]) -> None:
        self.set_state(saved[2])

    def __reduce__(self) -> tuple[Any, ...]:
        return Generator, (self.device,), (self._seed, None, self.get_state())

    # --- draws ---

    def draw32(self, count: int) -> np.ndarray:
        """The next draws of 32 bits, as unsigned integers of 32 or 64 bits."""
        self._fresh = self._fresh and count == 0
        self.draws += 1
        if count <= _FEW:
            return self._bits.random_raw(count)
        return self._words.integers(0, 0xFFFFFFFF, count, np.uint32, endpoint=True)

    def draw64(self, count: int) -> np.ndarray:
        """The next draws of 64 bits: two of 32 each, the high half first."""
        self._fresh = self._fresh and count == 0
        self.draws += 1
        if count <= _FEW:
            halves = self._bits.random_raw(2 * count)
            return (halves[0::2] << np.uint64(32)) | halves[1::2]
        return self._words.integers(0, 0xFFFFFFFFFFFFFFFF, count, np.uint64, endpoint=True)

    def uniform(self) -> float:
        """One number from [0, 1) with 53 random bits."""
        self.draws += 1
        self._fresh = False
        raw = self._bits.random_raw
        high: int = raw()
        return (((high & 0x1FFFFF) << 32) | raw()) * 2.0**-53

    def take_next_normal(self) -> float | None:
        """The normal number that the last pair left over, which is thereby used up."""
        kept, self._next_normal = self._next_normal, None
        self.draws += 1
        return kept

    def keep_next_normal(self, value: float) -> None:
        """Keeps the second number of a pair for the next call."""
        self._next_normal = value


def _default() -> Generator:
    generator = Generator()
    generator.seed()
    return generator


# what random numbers are drawn from when no generator is named
default_generator = _default()
