"""Lowerings of convolutions of one and two spatial dimensions and of both their gradients."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from fakel.compiler.kernels.convolution.blocks import (
    Correlation,
    Tile,
    correlate,
    frame_images,
    pack_bias,
    pack_weights,
)
from fakel.compiler.kernels.convolution.layout import (
    FLOATS,
    Axis,
    axes,
    four_dimensional,
    moved,
    two_dimensional,
)
from fakel.compiler.kernels.convolution.parts import interleave, part_places
from fakel.compiler.kernels.convolution.rows import (
    RowTile,
    correlate_rows,
    parts_of_rows,
    tile_of_rows,
)
from fakel.compiler.kernels.convolution.weights import WeightGradient, join_parts, sum_parts
from fakel.compiler.kernels.convolution.weights_rows import (
    frames_of_unit,
    join_rows,
    parts_of_batch,
    prefers_rows,
    sum_rows,
    sums_of_part,
)
from fakel.compiler.kernels.products.lowerings import Epilogue, matmul
from fakel.compiler.planning.lowering import Access, lowers
from fakel.graph import Node

# Fewer multiplications than this are not worth waking other threads.
SMALL = 1 << 17

# where a result begins, and its strides
Place = tuple[Access, tuple[int, int, int, int]]


def supported(*accesses: Access | None) -> bool:
    """Whether these are floating-point tensors of one dtype, none of them empty, with one or two
    spatial dimensions (the first one tells).
    """
    first = accesses[0]
    assert first is not None
    return (
        first.dtype.name in FLOATS
        and len(first.shape) in (3, 4)
        and all(a is None or (a.dtype is first.dtype and a.count > 0) for a in accesses)
    )


@lowers("convolution")
def convolution(plan: Any, node: Node) -> bool:
    """output[n, o, y, x] = bias[o] + Σ weight[o, c, i, j] · input[n, c, y·stride + i, …]."""
    source, weight, bias = _inputs(plan, node)
    if not supported(source, weight, bias) or math.prod(node.shape) == 0:
        return False
    if _is_product(source, weight, node.parameters["geometry"]):
        _multiply(plan, source, weight, bias, plan.result(node))
        return True
    spec = correlation_of(source, weight, bias, node.shape, node.parameters["geometry"])
    o, c, y, x = four_dimensional(weight).strides
    strides = (spec.outputs * o, o, c, y, x)
    add_correlation(plan, spec, source, (weight, strides), bias, plan.result(node))
    return True


def _is_product(source: Access, weight: Access, geometry: Any) -> bool:
    """Whether every output meets exactly the input at its own position, and positions lie in order:
    the weight is then a matrix, and an image one of (channels, positions).
    """
    y, x = four_dimensional(source).strides[2:]
    height, width = four_dimensional(source).shape[2:]
    joined = height == 1 or width == 1 or y == width * x
    return joined and geometry.groups == 1 and geometry.is_pointwise(weight.shape[2:])


def _multiply(
    plan: Any, source: Access, weight: Access, bias: Access | None, result: Access
) -> None:
    """Multiplies every image with the weight, (output channels, input channels, ...)."""
    (batch, channels, *_), (image, channel, *_) = source.shape, source.strides
    outputs, positions = weight.shape[0], math.prod(source.shape[2:])
    y, x = four_dimensional(source).strides[2:]
    step = x if source.shape[-1] > 1 else y
    matrices = replace(source, shape=(batch, channels, positions), strides=(image, channel, step))
    factors = replace(weight, shape=(batch, outputs, channels), strides=(0, *weight.strides[:2]))
    out = replace(
        result,
        shape=(batch, outputs, positions),
        strides=(outputs * positions, positions, 1),
    )
    added = ()
    if bias is not None:
        added = (replace(bias, shape=(outputs, 1), strides=(bias.strides[0], 0)),)
    matmul(plan, factors, matrices, out, Epilogue(added=added))


def correlation_of(
    source: Access, weight: Access, bias: Access | None, shape: tuple[int, ...], geometry: Any
) -> Correlation:
    """The correlation that a "convolution" is, with a contiguous result of this shape."""
    source, weight = four_dimensional(source), four_dimensional(weight)
    batch, channels = shape[:2]
    size = two_dimensional(tuple(shape[2:]), 1)
    vertical, horizontal = axes(size, weight.shape[2:], geometry)
    return Correlation(
        scalar=source.scalar,
        batch=batch,
        groups=geometry.groups,
        inputs=weight.shape[1],
        outputs=channels // geometry.groups,
        vertical=vertical,
        horizontal=horizontal,
        size=source.shape[2:],  # type: ignore[arg-type]
        strides=source.strides,  # type: ignore[arg-type]
        result_strides=(channels * size[0] * size[1], size[0] * size[1], size[1], 1),
        has_bias=bias is not None,
    )


@lowers("convolution_transposed")
def convolution_transposed(plan: Any, node: Node) -> bool:
    """The transpose of `convolution`: for each residue of the stride, a correlation of its own with
    the taps that meet it.
    """
    source, weight, bias = _inputs(plan, node)
    if not supported(source, weight, bias) or math.prod(node.shape) == 0:
        return False
    geometry = node.parameters["geometry"]
    if _is_product(source, weight, geometry) and source.shape[2:] == node.shape[2:]:
        turned = replace(
            weight,
            shape=(weight.shape[1], weight.shape[0], *weight.shape[2:]),
            strides=(weight.strides[1], weight.strides[0], *weight.strides[2:]),
        )
        _multiply(plan, source, turned, bias, plan.result(node))
        return True
    result = four_dimensional(plan.result(node))
    source, weight = four_dimensional(source), four_dimensional(weight)
    steps = two_dimensional(geometry.stride, 1)
    if steps[1] == 1 or result.shape[3] == 1:
        strides = (*result.strides[:2], steps[0] * result.strides[2], steps[1] * result.strides[3])

        def in_place(first: tuple[int, int], size: tuple[int, int]) -> Place:
            y, x = first
            return moved(result, y * result.strides[2] + x * result.strides[3]), strides

        _add_residues(plan, source, weight, bias, geometry, result.shape[2:], in_place)
        return True
    # columns would be written with gaps: parts are, which are then put together
    planes, size = result.shape[:2], result.shape[2:]
    places = part_places(planes, size, steps)
    parts = plan.scratch(places[-1, -1], source.dtype)

    def apart(first: tuple[int, int], size: tuple[int, int]) -> Place:
        elements = math.prod(size)
        return moved(parts, places[first]), (planes[1] * elements, elements, size[1], 1)

    _add_residues(plan, source, weight, bias, geometry, size, apart)
    plan.call(
        interleave(source.scalar, planes, size, steps, result.strides), [parts, result],
        writes=[result], parallel=result.count > 1 << 14,
    )  # fmt: skip
    return True


def _add_residues(
    plan: Any,
    source: Access,
    weight: Access,
    bias: Access | None,
    geometry: Any,
    size: tuple[int, ...],
    place_of: Callable[[tuple[int, int], tuple[int, int]], Place],
) -> None:
    """Adds the correlations that a transposed convolution is, one for each pair of residues.

    Args:
        size: of the result.
        place_of: where the rows and columns of a pair lie, by the first of them and how many there
            are.
    """
    rows, columns = (
        _residues(length, taps, s, p, d)
        for length, taps, s, p, d in zip(
            size,
            weight.shape[2:],
            two_dimensional(geometry.stride, 1),
            two_dimensional(geometry.padding, 0),
            two_dimensional(geometry.dilation, 1),
            strict=True,
        )
    )
    inputs = weight.shape[0] // geometry.groups
    o, c, y, x = weight.strides
    for first_row, vertical, tap_row, row_step in rows:
        for first_column, horizontal, tap_column, column_step in columns:
            place, strides = place_of(
                (first_row, first_column), (vertical.outputs, horizontal.outputs)
            )
            spec = Correlation(
                scalar=source.scalar,
                batch=source.shape[0],
                groups=geometry.groups,
                inputs=inputs,
                outputs=weight.shape[1],
                vertical=vertical,
                horizontal=horizontal,
                size=source.shape[2:],  # type: ignore[arg-type]
                strides=source.strides,  # type: ignore[arg-type]
                result_strides=strides,
                has_bias=bias is not None,
            )
            part = moved(weight, tap_row * y + tap_column * x)
            steps = (inputs * o, c, o, row_step * y, column_step * x)
            add_correlation(plan, spec, source, (part, steps), bias, place)


@lowers("convolution_weight_gradient")
def convolution_weight_gradient(plan: Any, node: Node) -> bool:
    """weight[o, c, i, j] = Σ output_gradient[n, o, y, x] · input[n, c, y·stride + i, …]"""
    source, output_gradient = (plan.read(each) for each in node.inputs)
    if not supported(source, output_gradient) or math.prod(node.shape) == 0:
        return False
    geometry = node.parameters["geometry"]
    result = four_dimensional(plan.result(node))
    source, output_gradient = four_dimensional(source), four_dimensional(output_gradient)
    vertical, horizontal = axes(output_gradient.shape[2:], result.shape[2:], geometry)
    spec = WeightGradient(
        scalar=source.scalar,
        batch=source.shape[0],
        groups=geometry.groups,
        inputs=result.shape[1],
        outputs=result.shape[0] // geometry.groups,
        vertical=vertical,
        horizontal=horizontal,
        size=source.shape[2:],
        strides=source.strides,
        gradient_strides=output_gradient.strides,
    )
    parallel = result.count * output_gradient.shape[0] * spec.positions > SMALL
    if prefers_rows(spec):
        _weight_gradient_of_rows(plan, spec, source, output_gradient, result, parallel)
        return True
    sums = plan.scratch(spec.units * spec.sum_elements, source.dtype)
    # a thread uses the part of the first unit it computes
    packed = plan.scratch(spec.units * spec.packed_elements, source.dtype)
    arguments, writes = [source, output_gradient, sums, packed], [sums, packed]
    if spec.framed:
        frames = plan.scratch(spec.units * spec.frames_elements, source.dtype)
        arguments.append(frames)
        writes.append(frames)
    else:
        arguments[0] = _at_first_tap(spec, source)
    plan.call(sum_parts(spec), arguments, writes=writes, parallel=parallel)
    plan.call(
        join_parts(spec, result.strides), [sums, result], writes=[result],
        parallel=spec.parts * result.count > 1 << 14,
    )  # fmt: skip
    return True


def _weight_gradient_of_rows(
    plan: Any,
    spec: WeightGradient,
    source: Access,
    output_gradient: Access,
    result: Access,
    parallel: bool,
) -> None:
    """Adds the calls of a weight gradient with positions in the lanes."""
    units = spec.groups * parts_of_batch(spec)
    sums = plan.scratch(units * sums_of_part(spec), source.dtype)
    arguments, writes = [source, output_gradient, sums], [sums]
    if spec.framed:
        # a thread uses the memory of its first unit
        frames = plan.scratch(units * frames_of_unit(spec), source.dtype)
        arguments.append(frames)
        writes.append(frames)
    else:
        arguments[0] = _at_first_tap(spec, source)
    plan.call(sum_rows(spec), arguments, writes, parallel)
    plan.call(join_rows(spec, result.strides), [sums, result], [result], sums.count > 1 << 14)


def _at_first_tap(spec: WeightGradient, source: Access) -> Access:
    """The input from the element on that the first output meets with the first tap."""
    y, x = source.strides[2:]
    return moved(source, spec.vertical.start * y + spec.horizontal.start * x)


def _residues(
    size: int, taps: int, stride: int, padding: int, dilation: int
) -> list[tuple[int, Axis, int, int]]:
    """For each residue of the stride: the first element of the result that has it, its elements as
    the outputs of a correlation, and the first tap and the step of taps that this correlation has.
    """
    common = math.gcd(stride, dilation)
    tap_step = stride // common
    result = []
    for first in range(min(stride, size)):
        position = first + padding
        outputs = -(-(size - first) // stride)
        meeting = [t for t in range(min(tap_step, taps)) if (position - t * dilation) % stride == 0]
        if not meeting:
            result.append((first, Axis(outputs, 0, 0, 1, 1), 0, 1))
            continue
        count = -(-(taps - meeting[0]) // tap_step)
        reach = (count - 1) * (dilation // common)
        start = (position - meeting[0] * dilation) // stride - reach
        # the taps are met in the reverse order
        last = meeting[0] + (count - 1) * tap_step
        axis = Axis(outputs, count, start, 1, dilation // common)
        result.append((first, axis, last, -tap_step))
    return result


def add_correlation(
    plan: Any,
    spec: Correlation,
    source: Access,
    weight: tuple[Access, tuple[int, int, int, int, int]],
    bias: Access | None,
    result: Access,
) -> None:
    """Adds the calls that correlate images with a weight.

    Args:
        weight: the access, which begins at the first tap, and the strides of groups, output and
            input channels within a group, rows and columns of taps.
        result: begins at the first output.
    """
    apart = weight[1][2]
    rows, tile = tile_of_rows(spec, apart), spec.tile
    in_order = bias is None or bias.strides[0] == 1
    if rows is not None and in_order and rows.cycles(spec, apart) < spec.cycles(tile):
        _correlate_rows(plan, spec, rows, source, weight, bias, result)
        return
    framing = spec.framed and not spec.frames_of_its_own
    arguments = [*prepare(plan, spec, tile, source, weight, bias, framing), result]
    writes = [result]
    if spec.frames_of_its_own:
        # a thread uses the part of the first block it computes
        frames = plan.scratch(spec.blocks * spec.images * spec.framed_strides[0], source.dtype)
        arguments.append(frames)
        writes.append(frames)
    # the parts of a transposed convolution's result do not overlap
    plan.call(
        correlate(spec, tile), arguments, writes, spec.products > SMALL, apart=True, fine=True
    )


def _correlate_rows(
    plan: Any,
    spec: Correlation,
    tile: RowTile,
    source: Access,
    weight: tuple[Access, tuple[int, int, int, int, int]],
    bias: Access | None,
    result: Access,
) -> None:
    """Adds the calls that correlate with positions in the lanes."""
    parts = parts_of_rows(spec, tile)
    images = place_images(plan, spec, source, spec.framed and parts > 1)
    arguments, writes = [images, weight[0]], [result]
    if bias is not None:
        arguments.append(bias)
    arguments.append(result)
    if spec.framed and parts == 1:
        # a thread uses the memory of its first unit
        frames = plan.scratch(spec.batch * spec.framed_strides[0], source.dtype)
        arguments.append(frames)
        writes.append(frames)
    kernel = correlate_rows(spec, tile, weight[1], parts)
    plan.call(kernel, arguments, writes, spec.products > SMALL // 4, apart=True, fine=True)


def prepare(
    plan: Any,
    spec: Correlation,
    tile: Tile,
    source: Access,
    weight: tuple[Access, tuple[int, int, int, int, int]],
    bias: Access | None,
    framing: bool,
) -> list[Access]:
    """Adds the calls that pack the weight and the bias and, with `framing`, frame the images.

    Returns:
        What the kernel reads: images, packed weights, packed bias (if there is one).
    """
    tiles = spec.groups * tile.count(spec.outputs) * tile.channels
    packed = plan.scratch(max(tiles * spec.terms, 1), source.dtype)
    plan.call(
        pack_weights(spec, tile, weight[1]), [weight[0], packed], writes=[packed],
        parallel=tiles * spec.terms > 1 << 14,
    )  # fmt: skip
    result = [packed]
    if bias is not None:
        packed_bias = plan.scratch(tiles, source.dtype)
        kernel = pack_bias(spec, tile, bias.strides[0])
        plan.call(kernel, [bias, packed_bias], writes=[packed_bias], parallel=False)
        result.append(packed_bias)
    return [place_images(plan, spec, source, framing), *result]


def place_images(plan: Any, spec: Correlation, source: Access, framing: bool) -> Access:
    """The images as kernels read them; with `framing`, adds the call that frames them."""
    if framing:
        images: Access = plan.scratch(spec.batch * spec.framed_strides[0], source.dtype)
        plan.call(
            frame_images(spec), [source, images], writes=[images], parallel=spec.products > SMALL
        )
        return images
    if spec.framed:
        return source
    y, x = four_dimensional(source).strides[2:]
    met = spec.taps > 0
    return moved(source, (spec.vertical.start * y + spec.horizontal.start * x) * met)


def _inputs(plan: Any, node: Node) -> tuple[Access, Access, Access | None]:
    source, weight, bias = (None if i is None else plan.read(i) for i in node.inputs)
    return source, weight, bias
