"""Small helpers of the layers: sizes given as one number or one number per dimension."""

from collections.abc import Iterable
from itertools import repeat
from types import FunctionType

__all__ = ["consume_prefix_in_state_dict_if_present"]


def _ntuple(length, name="parse"):
    """Make a function that repeats a number ``length`` times and makes a tuple of a sequence."""

    def parse(value):
        if isinstance(value, Iterable):
            return tuple(value)
        return tuple(repeat(value, length))

    parse.__name__ = name
    return parse


def own_constructor(cls):
    """Gives a layer of this package the constructor that it inherits under its own name, which
    errors show.
    """
    if cls.__module__.startswith("fakel.nn.") and "__init__" not in vars(cls):
        inherited = cls.__init__
        cls.__init__ = FunctionType(
            inherited.__code__,
            inherited.__globals__,
            "__init__",
            inherited.__defaults__,
            inherited.__closure__,
        )
        cls.__init__.__kwdefaults__ = inherited.__kwdefaults__
        cls.__init__.__qualname__ = f"{cls.__name__}.__init__"


_single = _ntuple(1, "_single")
_pair = _ntuple(2, "_pair")
_triple = _ntuple(3, "_triple")
_quadruple = _ntuple(4, "_quadruple")


def _reverse_repeat_tuple(values, times):
    """Reverse ``values`` and repeat each: (1, 2) gives (2, 2, 1, 1), the order of F.pad."""
    return tuple(value for value in reversed(values) for _ in range(times))


def _list_with_default(out_size, defaults):
    """Fill the ``None`` entries of ``out_size`` from the last entries of ``defaults``."""
    if isinstance(out_size, (int,)):
        return out_size
    if len(defaults) <= len(out_size):
        raise ValueError(f"Input dimension should be at least {len(out_size) + 1}")
    return [
        given if given is not None else default
        for given, default in zip(out_size, defaults[-len(out_size) :], strict=True)
    ]


def consume_prefix_in_state_dict_if_present(state_dict, prefix):
    """Strip a prefix (such as ``module.`` of DataParallel) from a state_dict's keys, in place."""
    for key in list(state_dict.keys()):
        if key.startswith(prefix):
            state_dict[key[len(prefix) :]] = state_dict.pop(key)
    metadata = getattr(state_dict, "_metadata", None)
    if metadata is None:
        return
    for key in list(metadata.keys()):
        # The metadata also has the module itself, under the prefix without its dot.
        if key == prefix.replace(".", "") or key.startswith(prefix):
            metadata[key[len(prefix) :]] = metadata.pop(key)
