"""Bytes to numbers by a table: what a chain of transforms makes of each of the 256 values.

The table is made by the transforms themselves, so that its entries are their results bit by bit;
a native loop then reads an entry for every pixel, instead of a pass and a temporary array for every
operation.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from fakel.runtime import compile_kernel

# Below so many pixels a channel, making the table costs more than it saves.
_FEW_PIXELS = 4096

# out[n, c, i] = table[c, pixels[n * image_step + c * channel_step + i * pixel_step]]
_MODULE = """
define void @{name}(ptr noalias %table, ptr noalias %pixels, ptr noalias %out,
                    i64 %images, i64 %channels, i64 %count,
                    i64 %image_step, i64 %channel_step, i64 %pixel_step) {{
entry:
  %any = icmp sgt i64 %count, 0
  br i1 %any, label %image, label %done
image:
  %n = phi i64 [0, %entry], [%next_n, %image_end]
  %more_images = icmp slt i64 %n, %images
  br i1 %more_images, label %channel, label %done
channel:
  %c = phi i64 [0, %image], [%next_c, %channel_end]
  %more_channels = icmp slt i64 %c, %channels
  br i1 %more_channels, label %plane, label %image_end
plane:
  %row = mul i64 %c, 256
  %entries = getelementptr {kind}, ptr %table, i64 %row
  %image_offset = mul i64 %n, %image_step
  %channel_offset = mul i64 %c, %channel_step
  %offset = add i64 %image_offset, %channel_offset
  %source = getelementptr i8, ptr %pixels, i64 %offset
  %planes_before = mul i64 %n, %channels
  %plane_number = add i64 %planes_before, %c
  %place = mul i64 %plane_number, %count
  %target = getelementptr {kind}, ptr %out, i64 %place
  br label %pixel
pixel:
  %i = phi i64 [0, %plane], [%next_i, %pixel]
  %pixel_offset = mul i64 %i, %pixel_step
  %pixel_at = getelementptr i8, ptr %source, i64 %pixel_offset
  %byte = load i8, ptr %pixel_at
  %index = zext i8 %byte to i64
  %entry_at = getelementptr {kind}, ptr %entries, i64 %index
  %value = load {kind}, ptr %entry_at
  %value_at = getelementptr {kind}, ptr %target, i64 %i
  store {kind} %value, ptr %value_at
  %next_i = add nuw nsw i64 %i, 1
  %more_pixels = icmp slt i64 %next_i, %count
  br i1 %more_pixels, label %pixel, label %channel_end
channel_end:
  %next_c = add i64 %c, 1
  br label %channel
image_end:
  %next_n = add i64 %n, 1
  br label %image
done:
  ret void
}}
"""


def looked_up(
    images: np.ndarray, transform: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray | None:
    """`transform(images)`; None where a table would not help.

    Args:
        images: bytes (n, height, width, channels).
        transform: to (n, channels, height, width), every pixel by itself, alike in all images.
    """
    count, height, width, channels = images.shape
    image_step, row_step, pixel_step, channel_step = images.strides
    in_rows = row_step == width * pixel_step or height == 1
    if count * height * width < _FEW_PIXELS or not in_rows:
        return None
    values = np.arange(256, dtype=np.uint8).reshape(1, 1, 256, 1)
    try:
        table = np.ascontiguousarray(transform(np.repeat(values, channels, axis=3)))
    except (ValueError, TypeError, RuntimeError):
        # The images themselves raise an error that tells their own shape.
        return None
    if table.shape != (1, channels, 1, 256) or table.itemsize not in (4, 8):
        return None
    result = np.empty((count, channels, height, width), table.dtype)
    _native(8 * table.itemsize)(
        *(array.__array_interface__["data"][0] for array in (table, images, result)),
        *(count, channels, height * width),
        *(image_step, channel_step, pixel_step),
    )
    return result


@cache
def _native(bits: int) -> Any:
    name = f"lookup{bits}"
    module = _MODULE.format(name=name, kind=f"i{bits}")
    address = compile_kernel(name, module, module)
    pointers, numbers = [ctypes.c_void_p] * 3, [ctypes.c_int64] * 6
    return ctypes.CFUNCTYPE(None, *pointers, *numbers)(address)
