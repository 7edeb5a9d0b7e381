"""Lowerings of pooling over one and two spatial dimensions: maximum, average, adaptive average."""

from __future__ import annotations

import math
from typing import Any

from fakel.compiler.kernels.convolution.layout import FLOATS, four_dimensional, two_dimensional
from fakel.compiler.kernels.pointwise.fusion import Operand
from fakel.compiler.kernels.pooling.adaptive import adaptive_average, adaptive_average_gradient
from fakel.compiler.kernels.pooling.windows import (
    Windows,
    average_pool,
    average_pool_gradient,
    max_pool,
    max_pool_gradient,
    max_pool_of,
)
from fakel.compiler.loop_ir.builder import Builder
from fakel.compiler.loop_ir.language import Expression, Kernel
from fakel.compiler.loop_ir.nests import merged
from fakel.compiler.planning.lowering import Access, lowers
from fakel.graph import Node

# Fewer elements than this are not worth waking other threads.
SMALL = 1 << 14


def _supported(access: Any, node: Node) -> bool:
    shapes = node.shape if isinstance(node.dtype, tuple) else (node.shape,)
    return (
        access.dtype.name in FLOATS
        and len(access.shape) in (3, 4)
        and all(math.prod(shape) for shape in (access.shape, *shapes))
    )


def _windows(access: Access, size: tuple[int, ...], window: Any) -> Windows:
    batch, channels = access.shape[:2]
    return Windows(
        scalar=access.scalar,
        batch=batch,
        channels=channels,
        size=two_dimensional(tuple(size), 1),
        strides=four_dimensional(access).strides,  # type: ignore[arg-type]
        kernel=two_dimensional(window.kernel, 1),
        step=two_dimensional(window.stride, 1),
        padding=two_dimensional(window.padding, 0),
        dilation=two_dimensional(window.dilation, 1),
        output=two_dimensional(window.output, 1),
    )


@lowers("max_pool")
def _max_pool(plan: Any, node: Node) -> bool:
    """The maxima of windows and their flat positions."""
    given = node.inputs[0]
    assert given is not None
    if not _supported(given, node):
        return False
    pixels = plan.operand(given, node, accepts=_is_of_one_image)
    values, indices = plan.results(node)
    main = _image(pixels)
    spec = _windows(pixels.sources[main], pixels.shape[2:], node.parameters["window"])
    if pixels.cone is None:
        kernel = max_pool(spec)
    else:
        kernel = _max_pool_of(pixels, main, spec)
    plan.call(
        kernel, [*pixels.sources, values, indices], writes=[values, indices],
        parallel=pixels.count > SMALL,
    )  # fmt: skip
    return True


def _image(pixels: Operand) -> int:
    """Which of an operand's sources is the image."""
    return next(i for i, source in enumerate(pixels.sources) if not _is_of_channels(source))


def _is_of_channels(source: Access) -> bool:
    """Whether there is but one number for each channel."""
    return not any(step for dim, step in enumerate(source.strides) if dim != 1)


def _is_of_one_image(pixels: Operand) -> bool:
    """Whether an operand is made of one image and numbers for each channel."""
    images = [source for source in pixels.sources if not _is_of_channels(source)]
    return len(images) == 1 and images[0].dtype is pixels.dtype


def _max_pool_of(pixels: Operand, main: int, spec: Windows) -> Kernel:
    build = Builder("max_pool")
    buffers = [build.buffer(f"x{i}", source.scalar) for i, source in enumerate(pixels.sources)]
    assert pixels.cone is not None
    numbers = {id(source): i for i, source in enumerate(pixels.cone.sources)}

    def made(value: Expression, channel: Expression) -> Expression:
        def load(source: Any) -> Expression:
            i = numbers[id(source)]
            step = pixels.sources[i].strides[1]
            return value if i == main else build.load(buffers[i], channel * step)

        return pixels.cone.values(build, load)[id(pixels.root)]

    return max_pool_of(spec, build, buffers[main], made)


@lowers("max_pool_gradient")
def _max_pool_gradient(plan: Any, node: Node) -> bool:
    """Gradients added where the maxima were."""
    given = node.inputs[0]
    assert given is not None
    indices = plan.read(node.inputs[1])
    if given.dtype.name not in FLOATS or 0 in (*given.shape, *node.shape):
        return False
    index_strides = _flat_strides(indices)
    if indices.dtype.name != "int64" or index_strides is None:
        return False
    if not plan.fusion.waits(given) and _flat_strides(plan.read(given)) is None:
        return False
    gradient = plan.operand(given, node, accepts=_is_flat)
    build = Builder("max_pool_gradient")
    buffers = [build.buffer(f"x{i}", source.scalar) for i, source in enumerate(gradient.sources)]
    steps = [_flat_strides(source) for source in gradient.sources]

    def element(image: Expression, channel: Expression, window: Expression) -> Expression:
        def load(number: int) -> Expression:
            step = steps[number]
            assert step is not None
            place = image * step[0] + channel * step[1] + window * step[2]
            return build.load(buffers[number], place)

        if gradient.cone is None:
            return load(0)
        numbers = {id(source): i for i, source in enumerate(gradient.cone.sources)}
        values = gradient.cone.values(build, lambda source: load(numbers[id(source)]))
        return values[id(gradient.root)]

    result = plan.result(node)
    shape = gradient.shape
    kernel = max_pool_gradient(
        build,
        element,
        (shape[0], shape[1]),
        math.prod(shape[2:]),
        math.prod(node.parameters["size"]),
        index_strides,
        gradient.scalar,
    )
    plan.call(
        kernel, [*gradient.sources, indices, result], writes=[result],
        parallel=result.count > SMALL,
        errors=lambda status: RuntimeError("max_pool_gradient: an index lies outside the input"),
        trusted=plan.makes(indices),
    )  # fmt: skip
    return True


def _is_flat(gradient: Operand) -> bool:
    return all(_flat_strides(source) is not None for source in gradient.sources)


def _flat_strides(access: Access) -> tuple[int, int, int] | None:
    """Strides of batch, channels and positions, where these are equally far from each other."""
    sizes, (steps,), _ = merged(access.shape[2:], [access.strides[2:]])
    if len(sizes) > 1:
        return None
    return access.strides[0], access.strides[1], steps[0] if sizes else 0


@lowers("average_pool")
def _average_pool(plan: Any, node: Node) -> bool:
    """The means of windows."""
    source = plan.read(node.inputs[0])
    if not _supported(source, node):
        return False
    parameters = node.parameters
    spec = _windows(source, source.shape[2:], parameters["window"])
    kernel = average_pool(spec, parameters["include_padding"], parameters["divisor"])
    result = plan.result(node)
    plan.call(kernel, [source, result], writes=[result], parallel=source.count > SMALL)
    return True


@lowers("average_pool_gradient")
def _average_pool_gradient(plan: Any, node: Node) -> bool:
    """Each window's gradient spread over its elements."""
    gradient = plan.read(node.inputs[0])
    if not _supported(gradient, node):
        return False
    parameters = node.parameters
    spec = _windows(gradient, parameters["size"], parameters["window"])
    kernel = average_pool_gradient(spec, parameters["include_padding"], parameters["divisor"])
    result = plan.result(node)
    plan.call(kernel, [gradient, result], writes=[result], parallel=result.count > SMALL)
    return True


@lowers("adaptive_average_pool")
def _adaptive_average_pool(plan: Any, node: Node) -> bool:
    """The means of windows that share the input out evenly."""
    source = plan.read(node.inputs[0])
    if not _supported(source, node):
        return False
    result = plan.result(node)
    seen = four_dimensional(source)
    kernel = adaptive_average(
        source.scalar, seen.shape, seen.strides, two_dimensional(tuple(node.shape[2:]), 1)
    )
    plan.call(kernel, [source, result], writes=[result], parallel=source.count > SMALL)
    return True


@lowers("adaptive_average_pool_gradient")
def _adaptive_average_pool_gradient(plan: Any, node: Node) -> bool:
    """Each window's gradient spread over its elements."""
    gradient = plan.read(node.inputs[0])
    if not _supported(gradient, node):
        return False
    result = plan.result(node)
    seen = four_dimensional(gradient)
    kernel = adaptive_average_gradient(
        gradient.scalar, seen.shape, seen.strides, two_dimensional(tuple(node.shape[2:]), 1)
    )
    plan.call(kernel, [gradient, result], writes=[result], parallel=result.count > SMALL)
    return True
