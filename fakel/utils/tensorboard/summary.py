"""Summaries: what TensorBoard shows, encoded. Field numbers are those of TensorBoard's messages."""

from __future__ import annotations

import io
import wave
from collections.abc import Sequence
from typing import Any

import numpy as np

from fakel.tensor import Tensor, dtypes
from fakel.utils.tensorboard.pictures import as_height_width_channels, encoded_png
from fakel.utils.tensorboard.wire import (
    data,
    double,
    doubles,
    integer,
    integers,
    single,
    singles,
)

# TensorBoard's numbers of dtypes
_FLOAT, _DOUBLE, _INT32, _UINT8, _INT16, _INT8, _STRING, _COMPLEX64, _INT64, _BOOL = range(1, 11)
_BFLOAT16, _COMPLEX128, _HALF = 14, 18, 19

_MOST_THRESHOLDS = 127
_LEAST_COUNT = 1e-7


def as_array(value: Any) -> np.ndarray:
    """A tensor, an array or a number as an array.

    Raises:
        NotImplementedError: for anything else.
    """
    if isinstance(value, np.ndarray):
        return value
    if np.isscalar(value):
        return np.array([value])
    if isinstance(value, Tensor):
        value = value.detach()
        return (value.to(dtypes.float16) if value.dtype is dtypes.bfloat16 else value).numpy()
    raise NotImplementedError(f"Got {type(value)}, but numpy array or torch tensor are expected.")


def _value(tag: str, *fields: bytes) -> bytes:
    """A summary of one value."""
    return data(1, data(1, tag) + b"".join(fields))


def _plugin(name: str, content: bytes = b"") -> bytes:
    return data(9, data(1, data(1, name) + data(2, content), always=True))


def _tensor(kind: int, shape: Sequence[int], *content: bytes) -> bytes:
    dims = b"".join(data(2, integer(1, size), always=True) for size in shape)
    return data(8, integer(1, kind) + data(2, dims, always=True) + b"".join(content))


def scalar(tag: str, value: Any, new_style: bool = False, double_precision: bool = False) -> bytes:
    """A number.

    Raises:
        AssertionError: for more than one.
    """
    array = as_array(value).squeeze()
    if array.ndim != 0:
        raise AssertionError(
            "Tensor should contain one element (0 dimensions). "
            f"Was given size: {array.size} and {array.ndim} dimensions."
        )
    number = float(array)
    if not new_style:
        return _value(tag, single(2, number, always=True))
    if double_precision:
        tensor = integer(1, _DOUBLE) + doubles(6, [number])
    else:
        tensor = integer(1, _FLOAT) + singles(5, [number])
    return _value(tag, data(8, tensor), _plugin("scalars"))


def _parts(values: Sequence[complex]) -> list[float]:
    return [part for value in values for part in (value.real, value.imag)]


_ENCODINGS: dict[Any, tuple[int, Any]] = {
    dtypes.float32: (_FLOAT, lambda values: singles(5, values)),
    dtypes.float64: (_DOUBLE, lambda values: doubles(6, values)),
    dtypes.int8: (_INT8, lambda values: integers(7, values)),
    dtypes.int16: (_INT16, lambda values: integers(7, values)),
    dtypes.int32: (_INT32, lambda values: integers(7, values)),
    dtypes.uint8: (_UINT8, lambda values: integers(16, values)),
    dtypes.int64: (_INT64, lambda values: integers(10, values)),
    dtypes.bool_: (_BOOL, lambda values: integers(11, values)),
    # as in PyTorch, numbers of two bytes stand there with the bits of float32
    dtypes.float16: (_HALF, lambda values: integers(13, np.float32(values).view(np.int32))),
    dtypes.bfloat16: (_BFLOAT16, lambda values: integers(13, np.float32(values).view(np.int32))),
    dtypes.complex64: (_COMPLEX64, lambda values: singles(9, _parts(values))),
    dtypes.complex128: (_COMPLEX128, lambda values: doubles(12, _parts(values))),
}


def tensor_proto(tag: str, tensor: Any) -> bytes:
    """A tensor.

    Raises:
        ValueError: for a dtype that TensorBoard does not know.
    """
    if tensor.dtype not in _ENCODINGS:
        raise ValueError(f"{tag} has unsupported tensor dtype {tensor.dtype}")
    kind, encode = _ENCODINGS[tensor.dtype]
    values = tensor.detach().reshape(-1).tolist()
    return _value(tag, _tensor(kind, tensor.shape, encode(values)), _plugin("tensor"))


def histogram_raw(
    tag: str,
    min: float,
    max: float,
    num: float,
    sum: float,
    sum_squares: float,
    bucket_limits: Sequence[float],
    bucket_counts: Sequence[float],
) -> bytes:
    """A histogram of known counts, with the upper limits of its buckets."""
    moments = (min, max, num, sum, sum_squares)
    fields = [double(place, moment) for place, moment in enumerate(moments, 1)]
    buckets = doubles(6, bucket_limits) + doubles(7, bucket_counts)
    return _value(tag, data(5, b"".join(fields) + buckets, always=True))


def histogram(tag: str, values: Any, bins: Any, max_bins: int | None = None) -> bytes:
    """A histogram, without the empty buckets at its ends but one.

    Raises:
        ValueError: when there are no values, or none inside of the bins.
    """
    values = as_array(values).astype(float).reshape(-1)
    if values.size == 0:
        raise ValueError("The input has no element.")
    counts, limits = np.histogram(values, bins=bins)
    if max_bins is not None and len(counts) > max_bins:
        counts, limits = _joined(counts, limits, len(counts) // max_bins)
    filled = np.flatnonzero(counts)
    if filled.size == 0:
        raise ValueError("The histogram is empty, please file a bug report.")
    start, end = int(filled[0]), int(filled[-1]) + 1
    # TensorBoard does not show a first bucket that has something in it
    counts = counts[start - 1 : end] if start else np.concatenate([[0], counts[:end]])
    return histogram_raw(
        tag,
        values.min(),
        values.max(),
        len(values),
        values.sum(),
        values.dot(values),
        limits[start : end + 1].tolist(),
        counts.tolist(),
    )


def _joined(counts: np.ndarray, limits: np.ndarray, several: int) -> Any:
    """Buckets of ``several`` buckets each."""
    rest = len(counts) % several
    if rest:
        counts = np.pad(counts, [[0, several - rest]])
    counts = counts.reshape(-1, several).sum(axis=-1)
    joined = np.empty(counts.size + 1, limits.dtype)
    joined[:-1] = limits[:-1:several]
    joined[-1] = limits[-1]
    return counts, joined


def image(tag: str, tensor: Any, dataformats: str = "NCHW") -> bytes:
    """A picture, or several in a grid: bytes, or numbers from 0 to 1."""
    pixels = as_height_width_channels(as_array(tensor), dataformats)
    scale = 1 if pixels.dtype == np.uint8 else 255
    pixels = (pixels.astype(np.float32) * scale).clip(0, 255).astype(np.uint8)
    height, width, channels = pixels.shape
    sizes = integer(1, height) + integer(2, width) + integer(3, channels)
    return _value(tag, data(4, sizes + data(4, encoded_png(pixels))))


def audio(tag: str, tensor: Any, sample_rate: int = 44100) -> bytes:
    """One channel of sound, between -1 and 1.

    Raises:
        AssertionError: for more than one dimension.
    """
    samples = as_array(tensor).squeeze()
    if abs(samples).max() > 1:
        print("warning: audio amplitude out of range, auto clipped.")
        samples = samples.clip(-1, 1)
    if samples.ndim != 1:
        raise AssertionError("input tensor should be 1 dimensional.")
    samples = (samples * np.iinfo(np.int16).max).astype("<i2")
    encoded = io.BytesIO()
    with wave.open(encoded, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        file.writeframes(samples.tobytes())
    described = single(1, sample_rate) + integer(2, 1) + integer(3, len(samples))
    return _value(tag, data(6, described + data(4, encoded.getvalue()) + data(5, "audio/wav")))


def text(tag: str, content: str) -> bytes:
    """Text, which TensorBoard shows as Markdown."""
    tensor = _tensor(_STRING, [1], data(8, content, always=True))
    return _value(f"{tag}/text_summary", tensor, _plugin("text"))


def pr_curve(
    tag: str, labels: Any, predictions: Any, num_thresholds: int = 127, weights: Any = None
) -> bytes:
    """Precision and recall at evenly spaced thresholds.

    Args:
        tag: the name.
        labels: truth values.
        predictions: probabilities.
        num_thresholds: how many thresholds, 127 at most.
        weights: of the examples; 1 for None.
    """
    count = min(num_thresholds, _MOST_THRESHOLDS)
    buckets = np.int32(np.floor(predictions * (count - 1)))
    truths, weights = labels.astype(np.float64), 1.0 if weights is None else weights

    def at_least(weights: Any) -> np.ndarray:
        found, _ = np.histogram(buckets, bins=count, range=(0, count - 1), weights=weights)
        return np.cumsum(found[::-1])[::-1]

    true, false = at_least(truths * weights), at_least((1.0 - truths) * weights)
    true_below, false_below = false[0] - false, true[0] - true
    precision = true / np.maximum(_LEAST_COUNT, true + false)
    recall = true / np.maximum(_LEAST_COUNT, true + false_below)
    return pr_curve_raw(
        tag, true, false, true_below, false_below, precision, recall, num_thresholds
    )


def pr_curve_raw(
    tag: str,
    tp: Any,
    fp: Any,
    tn: Any,
    fn: Any,
    precision: Any,
    recall: Any,
    num_thresholds: int = 127,
) -> bytes:
    """Known counts of right and wrong answers at thresholds, with precision and recall."""
    rows = np.stack([as_array(each) for each in (tp, fp, tn, fn, precision, recall)])
    content = integer(2, min(num_thresholds, _MOST_THRESHOLDS))
    tensor = _tensor(_FLOAT, rows.shape, singles(5, rows.reshape(-1).tolist()))
    return _value(tag, tensor, _plugin("pr_curves", content))


def custom_scalars(layout: dict[str, dict[str, Any]]) -> bytes:
    """Charts of several scalars: category -> title -> ("Multiline" or "Margin", tags)."""
    categories = b""
    for category, charts in layout.items():
        encoded = data(1, category)
        for title, (kind, tags, *_) in charts.items():
            if kind == "Margin":
                if len(tags) != 3:
                    raise AssertionError("len(tags) != 3")
                series = b"".join(data(place, tag) for place, tag in enumerate(tags, 1))
                content = data(3, data(1, series, always=True), always=True)
            else:
                content = data(2, b"".join(data(1, tag) for tag in tags), always=True)
            encoded += data(2, data(1, title) + content)
        categories += data(2, encoded)
    tensor = _tensor(_STRING, [], data(8, categories, always=True))
    return _value("custom_scalars__config__", tensor, _plugin("custom_scalars"))


_TEXT, _TRUTH, _NUMBER = 1, 2, 3


def _parameter(value: Any) -> tuple[int, bytes]:
    """A hyperparameter's type, and its value encoded."""
    if isinstance(value, (int, float)):  # truth values count as numbers, as in PyTorch
        return _NUMBER, double(2, float(value), always=True)
    if isinstance(value, str):
        return _TEXT, data(3, value, always=True)
    if isinstance(value, Tensor):
        return _NUMBER, double(2, float(as_array(value).reshape(-1)[0]), always=True)
    raise ValueError("value should be one of int, float, str, bool, or torch.Tensor")


def hparams(
    parameters: dict[str, Any], metrics: dict[str, Any], domains: dict[str, Any] | None = None
) -> tuple[bytes, bytes, bytes]:
    """Hyperparameters of a run: summaries of the experiment, of the session's start and its end.

    Raises:
        TypeError: for a domain that is no list of values of the parameter's type.
        ValueError: for a parameter that is no number, text or tensor.
    """
    domains = domains or {}
    if not isinstance(domains, dict):
        raise TypeError("parameter: hparam_domain_discrete should be a dictionary, nothing logged.")
    for name, domain in domains.items():
        known = name in parameters and isinstance(domain, list)
        if not known or not all(isinstance(each, type(parameters[name])) for each in domain):
            raise TypeError(
                f"parameter: hparam_domain_discrete[{name}] should be a list of same type as "
                f"hparam_dict[{name}]."
            )
    infos, start = b"", b""
    for name, value in parameters.items():
        if value is None:
            continue
        kind, encoded = _parameter(value)
        start += data(1, data(1, name) + data(2, encoded))
        values = b"".join(data(1, _parameter(each)[1]) for each in domains.get(name, ()))
        domain = data(5, values, always=name in domains)
        infos += data(4, data(1, name) + integer(4, kind) + domain)
    for name in metrics:
        infos += data(5, data(1, data(2, name)))

    def of_session(tag: str, field: int, content: bytes) -> bytes:
        return _value(tag, _plugin("hparams", data(field, content, always=True)))

    return (
        of_session("_hparams_/experiment", 2, infos),
        of_session("_hparams_/session_start_info", 3, start),
        of_session("_hparams_/session_end_info", 4, integer(1, 1)),
    )
