"""Element types, their order of promotion, and the default one."""

from __future__ import annotations

from typing import Any

import numpy as np


class dtype:
    """An element type.

    ``storage`` is the NumPy dtype in memory (bfloat16 is kept as 16 raw bits), ``compute`` the one
    that operators' NumPy meanings work in: float16 and bfloat16 are widened to float32.
    """

    __slots__ = (
        "compute",
        "is_complex",
        "is_floating_point",
        "is_signed",
        "itemsize",
        "letter",
        "name",
        "storage",
    )

    def __init__(self, name: str, storage: str, compute: str, letter: str) -> None:
        self.name = name
        self.storage = np.dtype(storage)
        self.compute = np.dtype(compute)
        self.itemsize = self.storage.itemsize
        self.is_floating_point = name.startswith(("float", "bfloat"))
        self.is_complex = name.startswith("complex")
        self.is_signed = not name.startswith(("uint", "bool"))
        self.letter = letter

    def __repr__(self) -> str:
        return f"torch.{self.name}"

    def __reduce__(self) -> str | tuple[Any, ...]:
        return by_name, (self.name,)

    def __deepcopy__(self, memo: dict[int, Any]) -> dtype:
        return self

    @property
    def c_name(self) -> str:
        """The name of the C++ type, which some of PyTorch's messages use."""
        return _C_NAMES.get(self.name, self.name)

    def to_real(self) -> dtype:
        """The real dtype of a complex number's parts; a real dtype itself."""
        return {complex64: float32, complex128: float64}.get(self, self)

    def to_complex(self) -> dtype:
        """The complex dtype whose parts are of this dtype."""
        if self.is_complex:
            return self
        return complex128 if self is float64 else complex64


_C_NAMES = {
    "bool": "bool",
    "uint8": "unsigned char",
    "int8": "signed char",
    "int16": "short int",
    "int32": "int",
    "int64": "long int",
    "uint16": "short unsigned int",
    "uint32": "unsigned int",
    "uint64": "long unsigned int",
    "float16": "c10::Half",
    "bfloat16": "c10::BFloat16",
    "float32": "float",
    "float64": "double",
    "complex64": "c10::complex<float>",
    "complex128": "c10::complex<double>",
}

# name, in memory, in meanings, the name that error messages use ("Float", "Long")
uint8 = dtype("uint8", "u1", "u1", "Byte")
int8 = dtype("int8", "i1", "i1", "Char")
int16 = dtype("int16", "i2", "i2", "Short")
int32 = dtype("int32", "i4", "i4", "Int")
int64 = dtype("int64", "i8", "i8", "Long")
uint16 = dtype("uint16", "u2", "u2", "UInt16")
uint32 = dtype("uint32", "u4", "u4", "UInt32")
uint64 = dtype("uint64", "u8", "u8", "UInt64")
float16 = dtype("float16", "f2", "f4", "Half")
bfloat16 = dtype("bfloat16", "u2", "f4", "BFloat16")
float32 = dtype("float32", "f4", "f4", "Float")
float64 = dtype("float64", "f8", "f8", "Double")
complex64 = dtype("complex64", "c8", "c8", "ComplexFloat")
complex128 = dtype("complex128", "c16", "c16", "ComplexDouble")
bool_ = dtype("bool", "?", "?", "Bool")

ALL = (
    uint8,
    int8,
    int16,
    int32,
    int64,
    uint16,
    uint32,
    uint64,
    float16,
    bfloat16,
    float32,
    float64,
    complex64,
    complex128,
    bool_,
)
_FROM_PYTHON = {float: float64, int: int64, bool: bool_, complex: complex128}
_BY_NAME = {each.name: each for each in ALL}
_FROM_NUMPY = {each.storage: each for each in ALL if each is not bfloat16}

# torch's other names for the same dtypes
ALIASES = {
    "half": float16,
    "float": float32,
    "double": float64,
    "short": int16,
    "int": int32,
    "long": int64,
    "bool": bool_,
    "cfloat": complex64,
    "cdouble": complex128,
}


def by_name(name: str) -> dtype:
    """The dtype called ``name`` ("float32")."""
    return _BY_NAME[name]


def from_python(kind: Any) -> Any:
    """The dtype that Python's own type stands for; anything else as it is."""
    return _FROM_PYTHON.get(kind, kind) if isinstance(kind, type) else kind


def from_numpy(numpy_dtype: Any) -> dtype:
    """The dtype that a NumPy dtype corresponds to.

    Raises:
        TypeError: for NumPy dtypes that tensors cannot hold.
    """
    numpy_dtype = np.dtype(numpy_dtype)
    found = _FROM_NUMPY.get(numpy_dtype.newbyteorder("="))
    if found is None:
        raise TypeError(
            f"can't convert np.ndarray of type {_type_name(numpy_dtype)}. The only supported "
            "types are: "
            "float64, float32, float16, complex64, complex128, int64, int32, int16, int8, uint64, "
            "uint32, uint16, uint8, and bool."
        )
    return found


def _type_name(numpy_dtype: np.dtype[Any]) -> str:
    return f"numpy.{numpy_dtype.type.__name__}"


_default = float32


def get_default_dtype() -> dtype:
    """The dtype of floating-point tensors made from Python numbers."""
    return _default


def set_default_dtype(d: dtype) -> None:
    """Sets the dtype of floating-point tensors made from Python numbers.

    Raises:
        TypeError: when ``d`` is not a floating-point dtype.
    """
    global _default
    if not isinstance(d, dtype) or not d.is_floating_point:
        start = "" if isinstance(d, dtype) else "invalid dtype object: "
        raise TypeError(f"{start}only floating-point types are supported as the default type")
    _default = d
