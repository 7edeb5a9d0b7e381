"""Batches of sequences of different lengths, padded or packed.

A packed batch holds the first elements of all sequences, then the second elements of all that
have one, and so on, so that a recurrent layer works on whole slices.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from fakel import ops
from fakel.tensor import Tensor, dtypes

__all__ = [
    "PackedSequence",
    "invert_permutation",
    "pack_padded_sequence",
    "pack_sequence",
    "pad_packed_sequence",
    "pad_sequence",
    "unpack_sequence",
    "unpad_sequence",
]


class PackedSequence_(NamedTuple):
    """The fields of a PackedSequence."""

    data: Any
    batch_sizes: Any
    sorted_indices: Any
    unsorted_indices: Any


class PackedSequence(PackedSequence_):
    """A packed batch, as made by :func:`pack_padded_sequence`.

    Attributes:
        data: (elements of all sequences, *).
        batch_sizes: (longest length), how many sequences have an element at each position.
        sorted_indices: the order that sorts the sequences by length, or None if they were.
        unsorted_indices: the inverse of that order.
    """

    def __new__(cls, data, batch_sizes=None, sorted_indices=None, unsorted_indices=None):
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        if batch_sizes is None:
            if not (isinstance(data, (list, tuple)) and len(data) == 2):
                raise AssertionError("Expected data to be a list or tuple of length 2")
            data, batch_sizes = data
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    def to(self, *args, **kwargs):
        """Move or cast the data; arguments as of ``Tensor.to``."""
        data = self.data.to(*args, **kwargs)
        if data is self.data:
            return self
        indices = (
            None if each is None else each.to(data.device)
            for each in (self.sorted_indices, self.unsorted_indices)
        )
        return type(self)(data, self.batch_sizes, *indices)

    def cuda(self, *args, **kwargs):
        """Move to a GPU, which raises where there is none."""
        return self._with_data(self.data.cuda(*args, **kwargs))

    def cpu(self):
        """Move to the CPU."""
        return self._with_data(self.data.cpu())

    def pin_memory(self):
        """Move to pinned memory."""
        return self._with_data(self.data.pin_memory())

    def _with_data(self, data):
        if data is self.data:
            return self
        return type(self)(data, *self[1:])

    def double(self):
        """Cast the data to float64."""
        return self.to(dtype=dtypes.float64)

    def float(self):
        """Cast the data to float32."""
        return self.to(dtype=dtypes.float32)

    def half(self):
        """Cast the data to float16."""
        return self.to(dtype=dtypes.float16)

    def long(self):
        """Cast the data to int64."""
        return self.to(dtype=dtypes.int64)

    def int(self):
        """Cast the data to int32."""
        return self.to(dtype=dtypes.int32)

    def short(self):
        """Cast the data to int16."""
        return self.to(dtype=dtypes.int16)

    def char(self):
        """Cast the data to int8."""
        return self.to(dtype=dtypes.int8)

    def byte(self):
        """Cast the data to uint8."""
        return self.to(dtype=dtypes.uint8)

    @property
    def is_cuda(self):
        """Whether the data is on a GPU."""
        return self.data.is_cuda

    def is_pinned(self):
        """Whether the data is in pinned memory."""
        return self.data.is_pinned()


def invert_permutation(permutation):
    """Return the permutation that undoes another one (None stays None)."""
    return None if permutation is None else permutation.argsort()


def pack_padded_sequence(input, lengths, batch_first=False, enforce_sorted=True):
    """Pack a padded batch.

    Args:
        input: (L, N, *), or (N, L, *) with ``batch_first``.
        lengths: (N), a tensor or list.
        batch_first: the order of the first two dimensions.
        enforce_sorted: the sequences must be sorted by length, longest first; otherwise they
            get sorted here.
    """
    if not isinstance(lengths, Tensor):
        lengths = ops.as_tensor(lengths, dtype=dtypes.int64)
    lengths = lengths.to(dtype=dtypes.int64)
    sorted_indices = None
    if not enforce_sorted:
        lengths, sorted_indices = ops.sort(lengths, descending=True)
        input = input.index_select(0 if batch_first else 1, sorted_indices)
    steps = input.transpose(0, 1) if batch_first else input
    longest, count = steps.shape[:2]
    sizes = np.array(_checked_lengths(lengths.tolist(), longest, count))
    present = np.arange(sizes[0])[:, None] < sizes  # (step, member)
    rows = np.flatnonzero(present)
    flat = steps.reshape(longest * count, *steps.shape[2:])
    data = flat.index_select(0, ops.tensor(rows, dtype=dtypes.int64))
    batch_sizes = ops.tensor(present.sum(1), dtype=dtypes.int64)
    return PackedSequence(data, batch_sizes, sorted_indices, None)


def _checked_lengths(lengths, longest, count):
    if longest == 0 or count == 0:
        raise RuntimeError("Cannot pack empty tensors.")
    if len(lengths) != count:
        raise RuntimeError(
            f"Expected `len(lengths)` to be equal to batch_size, but got {len(lengths)} "
            f"(batch_size={count})"
        )
    if any(length <= 0 for length in lengths):
        raise RuntimeError(
            "Length of all samples has to be greater than 0, "
            "but found an element in 'lengths' that is <= 0"
        )
    if any(first < second for first, second in zip(lengths, lengths[1:], strict=False)):
        raise RuntimeError(
            "`lengths` array must be sorted in decreasing order when `enforce_sorted` is True. "
            "You can pass `enforce_sorted=False` to pack_padded_sequence and/or pack_sequence "
            "to sidestep this requirement if you do not need ONNX exportability."
        )
    if lengths[0] > longest:
        raise RuntimeError(
            "Expected `lengths` to be at most the length of the padded sequences "
            f"({longest}), but got {lengths[0]}"
        )
    return lengths


def pad_packed_sequence(sequence, batch_first=False, padding_value=0.0, total_length=None):
    """Undo :func:`pack_padded_sequence`.

    Args:
        sequence: a PackedSequence.
        batch_first: whether the result is (N, L, *) instead of (L, N, *).
        padding_value: what the padding is filled with.
        total_length: pad to this length instead of the longest sequence's.

    Returns:
        the padded batch, and the lengths of the sequences.
    """
    sizes = np.array(sequence.batch_sizes.tolist())
    longest = len(sizes)
    if total_length is not None:
        if total_length < longest:
            raise ValueError(
                "Expected total_length to be at least the length "
                "of the longest sequence in input, but got "
                f"total_length={total_length} and max sequence length being {longest}"
            )
        longest = total_length
    data = sequence.data
    count = int(sizes[0])
    # One more row, of padding, that all places without an element take.
    source = ops.cat([data, ops.full_like(data[:1], padding_value)])
    present = np.arange(count) < sizes[:, None]  # (step, member)
    rows = np.full((longest, count), data.shape[0])
    rows[: len(sizes)][present] = np.arange(data.shape[0])
    padded = source.index_select(0, ops.tensor(rows.reshape(-1), dtype=dtypes.int64))
    padded = padded.reshape(longest, count, *data.shape[1:])
    padded = padded.transpose(0, 1) if batch_first else padded
    lengths = ops.tensor(present.sum(0), dtype=dtypes.int64)
    if sequence.unsorted_indices is None:
        return padded, lengths
    order = sequence.unsorted_indices
    return padded.index_select(0 if batch_first else 1, order), lengths[order]


def pad_sequence(sequences, batch_first=False, padding_value=0.0, padding_side="right"):
    """Stack sequences (length, *) of different lengths into one padded batch.

    Args:
        sequences: the sequences.
        batch_first: whether the result is (N, L, *) instead of (L, N, *).
        padding_value: what the padding is filled with.
        padding_side: ``"right"`` or ``"left"``.
    """
    if not isinstance(sequences, Iterable):
        raise RuntimeError(
            "pad_sequence: Expected iterable for input sequences, "
            f"but got arg of type: {type(sequences)}"
        )
    sequences = tuple(sequences)
    if not sequences:
        raise RuntimeError("received an empty list of sequences")
    if padding_side not in ("left", "right"):
        raise RuntimeError(
            f"Expected padding_side to be one of left or right, but got {padding_side}."
        )
    longest = max(sequence.size(0) for sequence in sequences)
    trailing = sequences[0].shape[1:]
    padded = []
    for sequence in sequences:
        _check_trailing(trailing, sequence.shape[1:])
        missing = longest - sequence.size(0)
        if missing:
            padding = sequence.new_full((missing, *trailing), padding_value)
            parts = [sequence, padding] if padding_side == "right" else [padding, sequence]
            sequence = ops.cat(parts)
        padded.append(sequence)
    return ops.stack(padded, 0 if batch_first else 1)


def _check_trailing(expected, shape):
    if len(expected) != len(shape):
        raise RuntimeError(
            f"sequences must have the same number of dimensions, but got {len(expected) + 1} "
            f"and {len(shape) + 1}"
        )
    for dim, (wanted, length) in enumerate(zip(expected, shape, strict=True), start=1):
        if wanted != length:
            raise RuntimeError(
                f"The size of tensor a ({wanted}) must match the size of tensor b ({length}) "
                f"at non-singleton dimension {dim}"
            )


def unpad_sequence(padded_sequences, lengths, batch_first=False):
    """Split a padded batch into a list of sequences (length, *)."""
    if not batch_first:
        padded_sequences = padded_sequences.transpose(0, 1)
    lengths = lengths.tolist()
    return [
        sequence[:length].clone()
        for sequence, length in zip(padded_sequences, lengths, strict=True)
    ]


def pack_sequence(sequences, enforce_sorted=True):
    """Pack a list of sequences (length, *)."""
    sequences = list(sequences)
    lengths = [sequence.size(0) for sequence in sequences]
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences):
    """Undo :func:`pack_sequence`."""
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)
