"""Padding and packing of sequences. Same scenario, both libraries."""

import pytest

import fakel
from tests.nn.both import compare, scenarios

torch = pytest.importorskip("torch")


def sequences(library):
    return [library.arange(2.0 * n).reshape(n, 2) + n for n in (2, 4, 1)]


def padding(library, report):
    rnn = library.nn.utils.rnn
    report(rnn.pad_sequence(sequences(library)))
    report(rnn.pad_sequence(sequences(library), batch_first=True, padding_value=-1.0))
    report(rnn.pad_sequence(sequences(library), padding_side="left"))
    report(rnn.pad_sequence([library.arange(3), library.arange(5)], True, 7))
    padded = rnn.pad_sequence(sequences(library), batch_first=True)
    report(rnn.unpad_sequence(padded, library.tensor([2, 4, 1]), batch_first=True))
    report(lambda: rnn.pad_sequence([]), lambda: rnn.pad_sequence(3))
    report(lambda: rnn.pad_sequence(sequences(library), padding_side="top"))
    report(lambda: rnn.pad_sequence([library.ones(4, 3), library.ones(2, 2)]))


def packing(library, report):
    rnn = library.nn.utils.rnn
    packed = rnn.pack_sequence(sequences(library), enforce_sorted=False)
    report(isinstance(packed, rnn.PackedSequence), isinstance(packed, tuple), list(packed))
    report(rnn.pad_packed_sequence(packed), rnn.pad_packed_sequence(packed, True, -1.0, 6))
    report(rnn.unpack_sequence(packed), packed.batch_sizes, packed.sorted_indices)
    ordered = rnn.pack_sequence(sorted(sequences(library), key=len, reverse=True))
    report(list(ordered), ordered.is_cuda, packed.to("cpu") is packed)
    report(str(packed.double().data.dtype), packed.long().data, str(packed.half().data.dtype))
    report(list(rnn.PackedSequence(ordered.data, ordered.batch_sizes)))
    report(rnn.invert_permutation(library.tensor([2, 0, 1])), rnn.invert_permutation(None))
    x = library.ones(4, 3, 2)
    report(lambda: rnn.pack_padded_sequence(x, [1, 2, 3]))
    report(lambda: rnn.pack_padded_sequence(x, [3, 2, 0]))
    report(lambda: rnn.pack_padded_sequence(x, [3, 2]))
    report(lambda: rnn.pad_packed_sequence(packed, total_length=2))


@pytest.mark.parametrize("scenario", scenarios(globals()))
def test_same_as_pytorch(scenario):
    compare(scenario, fakel, torch)
