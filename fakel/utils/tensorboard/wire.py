"""Protocol buffers' wire format, and the records of event files, as far as summaries need them.

A message is the concatenation of its fields, each a key (number and kind of encoding) and a value;
zeros and empty strings are left out. A record is its length, a checksum of that, the message, and a
checksum of it. (https://protobuf.dev/programming-guides/encoding)
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

_VARINT, _EIGHT_BYTES, _LENGTH, _FOUR_BYTES = 0, 1, 2, 5


def _varint(number: int) -> bytes:
    number &= (1 << 64) - 1
    parts = []
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*parts, number])


def _key(field: int, kind: int) -> bytes:
    return _varint(field << 3 | kind)


def integer(field: int, number: int) -> bytes:
    """A whole number, an enumerator or a truth value."""
    return _key(field, _VARINT) + _varint(int(number)) if number else b""


def single(field: int, number: float, always: bool = False) -> bytes:
    """A float32; ``always`` for one of several alternatives, where a zero counts too."""
    if not number and not always:
        return b""
    return _key(field, _FOUR_BYTES) + struct.pack("<f", number)


def double(field: int, number: float, always: bool = False) -> bytes:
    """A float64; ``always`` for one of several alternatives, where a zero counts too."""
    if not number and not always:
        return b""
    return _key(field, _EIGHT_BYTES) + struct.pack("<d", number)


def data(field: int, content: bytes | str, always: bool = False) -> bytes:
    """Bytes, text or a message. ``always`` for messages and elements, which may be empty."""
    content = content.encode() if isinstance(content, str) else content
    return _key(field, _LENGTH) + _varint(len(content)) + content if content or always else b""


def singles(field: int, numbers: Iterable[float]) -> bytes:
    """Several float32."""
    numbers = list(numbers)
    return data(field, struct.pack(f"<{len(numbers)}f", *numbers))


def doubles(field: int, numbers: Iterable[float]) -> bytes:
    """Several float64."""
    numbers = list(numbers)
    return data(field, struct.pack(f"<{len(numbers)}d", *numbers))


def integers(field: int, numbers: Iterable[int]) -> bytes:
    """Several whole numbers."""
    return data(field, b"".join(_varint(int(number)) for number in numbers))


def _table() -> list[int]:
    values = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)  # Castagnoli's polynomial
        values.append(value)
    return values


_CRC = _table()


def _checksum(content: bytes) -> bytes:
    """CRC-32C, masked so that checksums of checksums differ."""
    value = 0xFFFFFFFF
    for byte in content:
        value = value >> 8 ^ _CRC[(value ^ byte) & 0xFF]
    value ^= 0xFFFFFFFF
    return struct.pack("<I", ((value >> 15 | value << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def record(message: bytes) -> bytes:
    """A message as a record of an event file."""
    length = struct.pack("<Q", len(message))
    return length + _checksum(length) + message + _checksum(message)
