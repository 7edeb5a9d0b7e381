"""Collating and converting samples gives PyTorch's structures and dtypes."""

import collections
import types

import numpy as np
import pytest

import fakel
from fakel.utils import data

torch = pytest.importorskip("torch")

Point = collections.namedtuple("Point", "x y")


class Frozen(collections.abc.Mapping):
    """A mapping that cannot be made from a dictionary."""

    def __init__(self, **entries):
        self.entries = entries

    def __getitem__(self, key):
        return self.entries[key]

    def __iter__(self):
        return iter(self.entries)

    def __len__(self):
        return len(self.entries)


BATCHES = {
    "tensors": lambda t: [t.tensor([1.0, 2.0]), t.tensor([3.0, 4.0])],
    "views": lambda t: [row[:2] for row in t.arange(12.0).view(3, 4)],
    "transposed": lambda t: [t.arange(6).view(2, 3).t(), t.zeros(2, 3, dtype=t.int64).t()],
    "different dtypes": lambda t: [t.tensor([1, 2]), t.tensor([0.5, 1.5])],
    "half tensors": lambda t: [t.ones(2, dtype=t.bfloat16), t.zeros(2, dtype=t.bfloat16)],
    "empty tensors": lambda t: [t.empty(0, 3), t.empty(0, 3)],
    "scalars": lambda t: [t.tensor(1), t.tensor(2)],
    "integers": lambda t: [1, 2, 3],
    "bools": lambda t: [True, False],
    "floats": lambda t: [1.5, 2.5],
    "strings": lambda t: ["a", "b"],
    "bytes": lambda t: [b"a", b"b"],
    "arrays": lambda t: [np.arange(3, dtype=np.int16), np.arange(3, dtype=np.int16)],
    "arrays of different dtypes": lambda t: [np.arange(3), np.arange(3.0)],
    "transposed arrays": lambda t: [np.arange(6).reshape(2, 3).T] * 2,
    "shared array": lambda t: [np.arange(6)[1:4], np.arange(6)[::2]],
    "array scalars": lambda t: [np.array(1.5), np.array(2.5)],
    "half": lambda t: [np.ones(2, np.float16)] * 2,
    "numpy scalars": lambda t: [np.float32(1.5), np.float32(2.5)],
    "numpy integers": lambda t: [np.int64(1), np.int64(2)],
    "numpy doubles": lambda t: [np.float64(1.5), np.float64(2.5)],
    "numpy bytes": lambda t: [np.uint8(1), np.uint8(255)],
    "mixed numpy": lambda t: [np.float32(1.5), np.int64(2)],
    "numpy bools": lambda t: [np.bool_(True), np.bool_(False)],
    "tuples": lambda t: [(t.ones(2), 1), (t.zeros(2), 2)],
    "lists": lambda t: [[1.0, "a"], [2.0, "b"]],
    "named tuples": lambda t: [Point(1, t.ones(1)), Point(2, t.zeros(1))],
    "dictionaries": lambda t: [{"a": 1, "b": [t.ones(1)]}, {"a": 2, "b": [t.zeros(1)]}],
    "ordered": lambda t: [collections.OrderedDict(b=1, a=2.0)] * 2,
    "default": lambda t: [collections.defaultdict(list, a=1)] * 2,
    "frozen": lambda t: [Frozen(a=1, b="x"), Frozen(a=2, b="y")],
    "proxy": lambda t: [types.MappingProxyType({"a": 1})] * 2,
    "nested": lambda t: [{"a": (1, [2.0, {"b": "x"}])}] * 3,
    "deque": lambda t: [collections.deque([1, 2]), collections.deque([3, 4])],
    "range": lambda t: [range(2), range(2)],
}


def described(value):
    """Types, dtypes and values of a structure, with the libraries' own types named alike."""
    if hasattr(value, "requires_grad"):
        return "tensor", str(value.dtype), tuple(value.shape), value.tolist()
    if isinstance(value, np.ndarray):
        return "array", str(value.dtype), value.tolist()
    if isinstance(value, collections.abc.Mapping):
        return type(value).__name__, {key: described(entry) for key, entry in value.items()}
    if isinstance(value, collections.abc.Sequence) and not isinstance(value, (str, bytes)):
        return type(value).__name__, [described(entry) for entry in value]
    return type(value).__name__, value


@pytest.mark.parametrize("name", sorted(BATCHES))
def test_collate(name):
    mine = data.default_collate(BATCHES[name](fakel))
    theirs = torch.utils.data.default_collate(BATCHES[name](torch))
    assert described(mine) == described(theirs)


@pytest.mark.parametrize("name", sorted(BATCHES))
def test_convert(name):
    mine = data.default_convert(BATCHES[name](fakel))
    theirs = torch.utils.data.default_convert(BATCHES[name](torch))
    assert described(mine) == described(theirs)


def test_convert_leaves_text_arrays():
    array = np.array(["a", "b"])
    assert data.default_convert({"names": array})["names"] is array


MISTAKES = {
    "none": lambda t: [None, None],
    "object": lambda t: [object(), object()],
    "text arrays": lambda t: [np.array(["a"]), np.array(["b"])],
    "lengths": lambda t: [[1, 2], [1]],
    "set": lambda t: [{1}, {2}],
    "shapes": lambda t: [t.ones(2), t.ones(3)],
    "shapes of images": lambda t: [t.ones(3, 4, 4), t.ones(3, 4, 5)],
    "shapes of arrays": lambda t: [(np.ones(2), 1), (np.ones(3), 2)],
    "missing key": lambda t: [{"a": 1}, {"b": 2}],
}


@pytest.mark.parametrize("name", sorted(MISTAKES))
def test_mistakes(name):
    errors = []
    for library in (fakel, torch):
        with pytest.raises(Exception) as caught:
            library.utils.data.default_collate(MISTAKES[name](library))
        errors.append((caught.type, str(caught.value).split(" at 0x")[0]))
    assert errors[0] == errors[1]


def test_own_functions_by_type():
    from fakel.utils.data._utils.collate import collate, default_collate_fn_map

    def joined(batch, *, collate_fn_map=None):
        return "+".join(batch)

    functions = default_collate_fn_map | {str: joined}
    assert collate([("a", 1), ("b", 2)], collate_fn_map=functions)[0] == "a+b"
    with pytest.raises(TypeError, match="found <class 'int'>"):
        collate([1, 2], collate_fn_map={str: joined})


def test_pytorchs_paths():
    from fakel.utils.data.dataloader import default_collate, default_convert

    assert default_collate is data.default_collate
    assert default_convert is data.default_convert
