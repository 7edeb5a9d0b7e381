"""``torch.gradient``: derivatives of a sampled function from differences."""

from __future__ import annotations

from typing import Any

from fakel import ops
from fakel.ops.declare import function as public
from fakel.ops.declare import wrap_dims
from fakel.tensor import Tensor, dtypes


def _evenly(input: Tensor, dim: int, spacing: Any, edge_order: int) -> Tensor:
    """The derivative along a dimension from samples at one distance."""
    last = input._shape[dim] - 1

    def at(start: int, length: int = 1) -> Tensor:
        return input.narrow(dim, start, length)

    inner = (at(2, last - 1) - at(0, last - 1)) / spacing / 2
    if edge_order == 1:
        first = (at(1) - at(0)) / spacing
        final = (at(last) - at(last - 1)) / spacing
    else:
        first = (-1.5 * at(0) + 2 * at(1) - 0.5 * at(2)) / spacing
        final = (0.5 * at(last - 2) - 2 * at(last - 1) + 1.5 * at(last)) / spacing
    return ops.cat([first, inner, final], dim)


def _unevenly(input: Tensor, dim: int, points: Tensor, edge_order: int) -> Tensor:
    """The derivative along a dimension from samples at these coordinates."""
    last = input._shape[dim] - 1
    shape = [-1 if each == dim else 1 for each in range(input.ndim)]
    steps = points.diff()
    before, after = steps.narrow(0, 0, last - 1), steps.narrow(0, 1, last - 1)

    def at(start: int, length: int = 1) -> Tensor:
        return input.narrow(dim, start, length)

    def along(factors: Tensor) -> Tensor:
        return factors.reshape(shape)

    inner = (
        along(-after / (before * (before + after))) * at(0, last - 1)
        + along((after - before) / (before * after)) * at(1, last - 1)
        + along(before / (after * (before + after))) * at(2, last - 1)
    )
    if edge_order == 1:
        first = (at(1) - at(0)) / steps[0]
        final = (at(last) - at(last - 1)) / steps[last - 1]
    else:
        d, e = steps[0], steps[1]
        first = (
            -(2 * d + e) / (d * (d + e)) * at(0)
            + (d + e) / (d * e) * at(1)
            - d / (e * (d + e)) * at(2)
        )
        d, e = steps[last - 2], steps[last - 1]
        final = (
            e / (d * (d + e)) * at(last - 2)
            - (d + e) / (d * e) * at(last - 1)
            + (2 * e + d) / (e * (d + e)) * at(last)
        )
    return ops.cat([first, inner, final], dim)


def _declare() -> None:
    def gradient(
        input: Tensor, *, spacing: Any = 1, dim: Any = None, edge_order: int = 1
    ) -> tuple[Tensor, ...]:
        """The derivatives along dimensions: central differences inside, one-sided ones at the
        edges.

        Args:
            spacing: the distance of the samples, one for each dimension, or for each dimension a
                vector of their coordinates.
            dim: the dimensions, all of them when left out.
            edge_order: 1 or 2, the order of what is exact at the edges.
        """
        if input.dtype is dtypes.uint8:
            raise RuntimeError("torch.gradient does not support uint8 input.")
        dims = wrap_dims(dim, input.ndim)
        spacing = 1 if spacing is None else spacing
        spacings = (
            [spacing] * len(dims) if isinstance(spacing, (int, float, complex)) else list(spacing)
        )
        if len(spacings) != len(dims):
            if dim is None:
                raise RuntimeError(
                    "torch.gradient expected spacing to be unspecified, a scalar, or a list of "
                    f"length equal to 'self.dim() = {input.ndim}', since dim argument was not "
                    f"given, but got a list of length {len(spacings)}"
                )
            raise RuntimeError(
                "torch.gradient expected spacing to be unspecified, a scalar or it's spacing and "
                f"dim arguments to have the same length, but got a spacing argument of length "
                f"{len(spacings)} and a dim argument of length {len(dims)}."
            )
        if edge_order not in (1, 2):
            raise RuntimeError("torch.gradient only supports edge_order=1 and edge_order=2.")
        for each, points in zip(dims, spacings, strict=True):
            if isinstance(points, Tensor) and points.ndim != 1:
                raise RuntimeError(
                    "torch.gradient expected each element of spacing to have one dimension, but "
                    f"got an element with {points.ndim} dimensions!"
                )
            if input._shape[each] < edge_order + 1:
                raise RuntimeError(
                    "torch.gradient expected each dimension size to be at least edge_order+1"
                )
        return tuple(
            (_unevenly if isinstance(points, Tensor) else _evenly)(input, each, points, edge_order)
            for each, points in zip(dims, spacings, strict=True)
        )

    public(gradient)


_declare()
