"""Discrete Fourier transforms, X_k = sum_j x_j exp(-2 pi i j k / n), and their inverses.

Three primitives do the work: between complex signals, from real to half of a complex spectrum, and
back. ``scale`` says what they divide by: "none", "sqrt" (of the number of elements) or "all".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fakel import ops
from fakel.autograd.tape import retitled
from fakel.ops.declare import function, gradient, operator, primitive, wrap_dim
from fakel.ops.options import Options
from fakel.tensor import Tensor, get_default_dtype

FFT: dict[str, Any] = {"namespace": "fft", "method": False}
# NumPy's names of the scales, of the forward transform and of the inverse
_FORWARD = {"none": "backward", "sqrt": "ortho", "all": "forward"}
_INVERSE = {"none": "forward", "sqrt": "ortho", "all": "backward"}


def _complex_values(input: np.ndarray, dims: Sequence[int], scale: str, forward: bool) -> Any:
    if forward:
        return np.fft.fftn(input, axes=dims, norm=_FORWARD[scale])
    return np.fft.ifftn(input, axes=dims, norm=_INVERSE[scale])


@primitive("fft_c2c", "FftC2CBackward0")
def _between_complex(input, *, dims, scale, forward):
    if not input.size or not dims:
        return input.copy()
    return _complex_values(input, dims, scale, forward)


gradient(
    _between_complex,
    input=lambda grad, dims, scale, forward: _between_complex(
        grad, dims=dims, scale=scale, forward=not forward
    ),
)


@primitive("fft_r2c", "FftR2CBackward0")
def _from_real(input, *, dims, scale, forward):
    shape = (*input.shape[: dims[-1]], input.shape[dims[-1]] // 2 + 1, *input.shape[dims[-1] + 1 :])
    if not input.size:
        return np.zeros(shape, np.complex64)
    half = np.fft.rfftn(input, axes=dims, norm=_FORWARD[scale])
    return half if forward else np.conj(half)


def _from_real_gradient(grad, input_shape, dims, scale, forward):
    last = dims[-1]
    missing = input_shape[last] - grad._shape[last]
    padded = ops.constant_pad_nd(grad, [0, 0] * (grad.ndim - 1 - last) + [0, missing])
    return _between_complex(padded, dims=dims, scale=scale, forward=not forward).real


gradient(_from_real, input=_from_real_gradient)


@primitive("fft_c2r", "FftC2RBackward0")
def _to_real(input, *, dims, scale, forward, length):
    if not input.size:
        shape = list(input.shape)
        shape[dims[-1]] = length
        return np.zeros(shape, np.float32)
    if forward:
        input = np.conj(input)
    sizes = [*(input.shape[dim] for dim in dims[:-1]), length]
    return np.fft.irfftn(input, s=sizes, axes=dims, norm=_INVERSE[scale])


def _to_real_gradient(grad, dims, scale, forward, length):
    half = _real_transform(grad, dims, scale, not forward)
    last = dims[-1]
    factors = np.ones(half._shape[last])
    factors[1 : 1 + length - len(factors)] = 2
    shape = [-1 if dim == last else 1 for dim in range(grad.ndim)]
    return half * Tensor._from_array(factors.reshape(shape), grad.dtype)


gradient(_to_real, input=_to_real_gradient)


def _real_transform(input: Tensor, dims: tuple[int, ...], scale: str, forward: bool) -> Tensor:
    shape = list(input._shape)
    shape[dims[-1]] = shape[dims[-1]] // 2 + 1
    return _from_real(
        input,
        dims=dims,
        scale=scale,
        forward=forward,
        shape=tuple(shape),
        dtype=input.dtype.to_complex(),
    )


def _inverse_real_transform(
    input: Tensor, dims: tuple[int, ...], scale: str, forward: bool, length: int
) -> Tensor:
    shape = list(input._shape)
    shape[dims[-1]] = length
    return _to_real(
        input,
        dims=dims,
        scale=scale,
        forward=forward,
        length=length,
        shape=tuple(shape),
        dtype=input.dtype.to_real(),
    )


def _scale(norm: str | None, forward: bool) -> str:
    """What a transform divides by, from the name of the normalization."""
    if norm not in (None, "backward", "ortho", "forward"):
        raise RuntimeError(f'Invalid normalization mode: "{norm}"')
    if norm == "ortho":
        return "sqrt"
    return "all" if (norm == "forward") == forward else "none"


def _promoted(input: Tensor, to_complex: bool = False) -> Tensor:
    """Integers as the default dtype; real as complex numbers when asked for."""
    kind = input.dtype
    if not (kind.is_floating_point or kind.is_complex):
        kind = get_default_dtype()
    if kind.itemsize < 4:
        raise RuntimeError(f"Unsupported dtype {kind.letter}")
    return input.to(kind.to_complex() if to_complex else kind)  # type: ignore[attr-defined, no-any-return]


def _refuse_complex(name: str, input: Tensor, words: str = "real") -> None:
    if input.is_complex():
        raise RuntimeError(f"{name} expects a {words} input tensor, but got {input.dtype.letter}")


def _one(input: Tensor, dim: int) -> int:
    if not input.ndim:
        raise IndexError(f"Dimension specified as {dim} but tensor has no dimensions")
    return wrap_dim(dim, input.ndim)


def _checked_length(length: int) -> int:
    if length < 1:
        raise RuntimeError(f"Invalid number of data points ({length}) specified")
    return length


def _resized(input: Tensor, dims: Sequence[int], sizes: Sequence[int]) -> Tensor:
    """Cuts the dimensions to these sizes, or fills them up with zeros."""
    missing = [0] * input.ndim
    for dim, size in zip(dims, sizes, strict=True):
        missing[dim] = _checked_length(size) - input._shape[dim]
    if not any(missing):
        return input
    pads = [number for each in reversed(missing) for number in (0, each)]
    return ops.constant_pad_nd(input, pads)  # type: ignore[no-any-return]


def _complex_1d(input: Tensor, n: int | None, dim: int, norm: str | None, forward: bool) -> Tensor:
    real = not input.is_complex()
    input = _promoted(input, True)
    dim = _one(input, dim)
    input = _resized(input, (dim,), (input._shape[dim] if n is None else n,))
    found = _between_complex(input, dims=(dim,), scale=_scale(norm, forward), forward=forward)
    if not real:
        return found
    return retitled(found, "FftR2CBackward0" if forward else "ConjBackward0")


def _from_real_1d(
    name: str, input: Tensor, n: int | None, dim: int, norm: str | None, forward: bool
) -> Tensor:
    _refuse_complex(name, input)
    input = _promoted(input)
    dim = _one(input, dim)
    input = _resized(input, (dim,), (input._shape[dim] if n is None else n,))
    return _real_transform(input, (dim,), _scale(norm, forward), forward)


def _to_real_1d(input: Tensor, n: int | None, dim: int, norm: str | None, forward: bool) -> Tensor:
    input = _promoted(input, True)
    dim = _one(input, dim)
    length = _checked_length(2 * (input._shape[dim] - 1) if n is None else n)
    input = _resized(input, (dim,), (length // 2 + 1,))
    return _inverse_real_transform(input, (dim,), _scale(norm, forward), forward, length)


@operator(**FFT)
def fft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """The transform along one dimension.

    Args:
        n: the length to cut or fill up with zeros to.
        norm: "backward" (the inverse divides by n), "ortho" (both by its root) or "forward".
    """
    return _complex_1d(input, n, dim, norm, True)


@operator(**FFT)
def ifft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """The inverse of ``fft``."""
    return _complex_1d(input, n, dim, norm, False)


@operator(**FFT)
def rfft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """The first half of the spectrum of a real signal; the other half is its conjugate."""
    return _from_real_1d("rfft", input, n, dim, norm, True)


@operator(**FFT)
def irfft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """The real signal whose half spectrum is given.

    Args:
        n: the length of the signal; twice that of the spectrum less 2 when left out.
    """
    return _to_real_1d(input, n, dim, norm, False)


@operator(**FFT)
def hfft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """The real spectrum of a signal of which half is given; the other half is its conjugate."""
    return _to_real_1d(input, n, dim, norm, True)


@operator(**FFT)
def ihfft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """The inverse of ``hfft``."""
    return _from_real_1d("ihfft", input, n, dim, norm, False)


# -------------------------------------------------------------------- several dimensions


def _several(input: Tensor, s: Any, dim: Any) -> tuple[tuple[int, ...], list[int]]:
    """The dimensions to transform and their sizes, where -1 stands for the size they have."""
    if isinstance(s, int):
        s = (s,)
    if isinstance(dim, int):
        dim = (dim,)
    if dim is not None:
        dims = tuple(wrap_dim(each, input.ndim) for each in dim)
        if len(set(dims)) != len(dims):
            raise RuntimeError("FFT dims must be unique")
        if s is not None and len(s) != len(dims):
            raise RuntimeError("When given, dim and shape arguments must have the same length")
    elif s is not None:
        if len(s) > input.ndim:
            raise RuntimeError(
                f"Got shape with {len(s)} values but input tensor only has {input.ndim} dimensions."
            )
        dims = tuple(range(input.ndim - len(s), input.ndim))
    else:
        dims = tuple(range(input.ndim))
    sizes = [input._shape[each] for each in dims]
    if s is not None:
        sizes = [own if size == -1 else size for own, size in zip(sizes, s, strict=True)]
    for size in sizes:
        _checked_length(size)
    return dims, sizes


def _last_size(input: Tensor, s: Any, dims: Sequence[int]) -> int:
    """The length of the real last dimension of a transform from half spectra."""
    given = s if s is None or not isinstance(s, int) else (s,)
    if given is None or given[-1] == -1:
        return _checked_length(2 * (input._shape[dims[-1]] - 1))
    return _checked_length(given[-1])


def _complex_nd(input: Tensor, s: Any, dim: Any, norm: str | None, forward: bool) -> Tensor:
    input = _promoted(input, True)
    dims, sizes = _several(input, s, dim)
    input = _resized(input, dims, sizes)
    return _between_complex(input, dims=dims, scale=_scale(norm, forward), forward=forward)


def _at_least_one(name: str, dims: Sequence[int]) -> None:
    if not dims:
        raise RuntimeError(f"{name} must transform at least one axis")


def _from_real_nd(
    name: str, input: Tensor, s: Any, dim: Any, norm: str | None, forward: bool
) -> Tensor:
    _refuse_complex(name, input, "real-valued" if forward else "real")
    input = _promoted(input)
    dims, sizes = _several(input, s, dim)
    _at_least_one(name, dims)
    input, scale = _resized(input, dims, sizes), _scale(norm, forward)
    if forward or len(dims) == 1:
        return _real_transform(input, dims, scale, forward)
    half = _real_transform(input, dims[-1:], scale, False)
    return _between_complex(half, dims=dims[:-1], scale=scale, forward=False)


def _to_real_nd(
    name: str, input: Tensor, s: Any, dim: Any, norm: str | None, forward: bool
) -> Tensor:
    input = _promoted(input, True)
    dims, sizes = _several(input, s, dim)
    _at_least_one(name, dims)
    length = _last_size(input, s, dims)
    sizes[-1] = length // 2 + 1
    input, scale = _resized(input, dims, sizes), _scale(norm, forward)
    if not forward:
        return _inverse_real_transform(input, dims, scale, False, length)
    if len(dims) > 1:
        input = _between_complex(input, dims=dims[:-1], scale=scale, forward=True)
    return _inverse_real_transform(input, dims[-1:], scale, True, length)


@operator(**FFT)
def fftn(input: Tensor, s: Any = None, dim: Any = None, norm: str | None = None) -> Tensor:
    """The transform along several dimensions (all of them when left out).

    Args:
        s: the sizes to cut or fill up with zeros to.
    """
    return _complex_nd(input, s, dim, norm, True)


@operator(**FFT)
def ifftn(input: Tensor, s: Any = None, dim: Any = None, norm: str | None = None) -> Tensor:
    """The inverse of ``fftn``."""
    return _complex_nd(input, s, dim, norm, False)


@operator(**FFT)
def rfftn(input: Tensor, s: Any = None, dim: Any = None, norm: str | None = None) -> Tensor:
    """``fftn`` of a real signal: half of the spectrum in the last of the dimensions."""
    return _from_real_nd("rfftn", input, s, dim, norm, True)


@operator(**FFT)
def irfftn(input: Tensor, s: Any = None, dim: Any = None, norm: str | None = None) -> Tensor:
    """The inverse of ``rfftn``."""
    return _to_real_nd("irfftn", input, s, dim, norm, False)


@operator(**FFT)
def hfftn(input: Tensor, s: Any = None, dim: Any = None, norm: str | None = None) -> Tensor:
    """``hfft`` along the last of the dimensions, ``fft`` along the others."""
    return _to_real_nd("hfftn", input, s, dim, norm, True)


@operator(**FFT)
def ihfftn(input: Tensor, s: Any = None, dim: Any = None, norm: str | None = None) -> Tensor:
    """The inverse of ``hfftn``."""
    return _from_real_nd("ihfftn", input, s, dim, norm, False)


def _declare_planar(name: str, several: Any) -> None:
    def declared(
        input: Tensor, s: Any = None, dim: Any = (-2, -1), norm: str | None = None
    ) -> Tensor:
        return several(input, s, dim, norm)  # type: ignore[no-any-return]

    declared.__name__ = declared.__qualname__ = name
    declared.__doc__ = f"``{name[:-1]}n`` along two dimensions, the last ones when left out."
    operator(**FFT)(declared)


for _name, _several_dims in (
    ("fft2", fftn),
    ("ifft2", ifftn),
    ("rfft2", rfftn),
    ("irfft2", irfftn),
    ("hfft2", hfftn),
    ("ihfft2", ihfftn),
):
    _declare_planar(_name, _several_dims)

# -------------------------------------------------------------------- frequencies


def _shift(input: Tensor, dim: Any, forward: bool) -> Tensor:
    if dim is None:
        dims = tuple(range(input.ndim))
    else:
        dims = tuple(
            wrap_dim(each, input.ndim) for each in ((dim,) if isinstance(dim, int) else dim)
        )
    shifts = [
        input._shape[each] // 2 if forward else (input._shape[each] + 1) // 2 for each in dims
    ]
    return input.roll(shifts, dims) if dims else input.clone()  # type: ignore[attr-defined, no-any-return]


@function(namespace="fft")
def fftshift(input: Tensor, dim: Any = None) -> Tensor:
    """Moves the frequency 0 to the middle of the dimensions."""
    return _shift(input, dim, True)


@function(namespace="fft")
def ifftshift(input: Tensor, dim: Any = None) -> Tensor:
    """The inverse of ``fftshift``."""
    return _shift(input, dim, False)


def _declare_frequencies(name: str, numbers: Any, documentation: str) -> None:
    def declared(
        n: int,
        d: float = 1.0,
        *,
        out: Any = None,
        dtype: Any = None,
        layout: Any = None,
        device: Any = None,
        requires_grad: bool = False,
        pin_memory: bool = False,
    ) -> Tensor:
        options = Options(
            name, dtype, get_default_dtype(), out, layout, device, requires_grad, pin_memory
        )
        kind = options.dtype
        if not (kind.is_floating_point or kind.is_complex):
            raise RuntimeError(f"{name} requires a floating point or complex dtype")
        if n < 0:
            raise RuntimeError(f"Trying to create tensor with negative dimension {n}: [{n}]")
        array = (numbers(n) * (1.0 / (n * d))).astype(kind.compute) if n else np.zeros(0)
        result = Tensor._from_array(array, kind)
        if out is not None:
            return out.resize_(result._shape).copy_(result)  # type: ignore[no-any-return]
        return result.requires_grad_() if requires_grad else result  # type: ignore[attr-defined, no-any-return]

    declared.__name__ = declared.__qualname__ = name
    declared.__doc__ = documentation
    function(namespace="fft")(declared)


_declare_frequencies(
    "fftfreq",
    lambda n: np.concatenate((np.arange((n + 1) // 2), np.arange(-(n // 2), 0))).astype(float),
    "The frequencies of the spectrum of n samples at a distance d: k / (n d), those from the "
    "middle on negative.",
)
_declare_frequencies(
    "rfftfreq",
    lambda n: np.arange(n // 2 + 1).astype(float),
    "The frequencies of the half spectrum of n real samples at a distance d: k / (n d).",
)
