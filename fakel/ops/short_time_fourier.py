"""Short-time Fourier transforms: spectra of overlapping pieces of a signal, and back."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from fakel import ops
from fakel.ops.declare import FUNCTIONS, operator
from fakel.ops.embed import fold_windows
from fakel.tensor import Tensor


def _printed(window: Tensor | None) -> str:
    if window is None:
        return "None"
    return f"torch.{window.dtype.letter}Tensor{{{list(window._shape)}}}"


def _full_window(window: Tensor | None, win_length: int, n_fft: int, like: Tensor) -> Tensor:
    """The window with zeros on both sides up to n_fft."""
    if window is None:
        window = Tensor._ones((win_length,), like.dtype.to_real())
    if win_length == n_fft:
        return window
    left = (n_fft - win_length) // 2
    return ops.constant_pad_nd(window, [left, n_fft - win_length - left])  # type: ignore[no-any-return]


def _transform(name: str, *args: Any, **kwargs: Any) -> Tensor:
    return FUNCTIONS["fft"][name](*args, **kwargs)  # type: ignore[no-any-return]


@operator(out=False)
def stft(
    input: Tensor,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Tensor | None = None,
    center: bool = True,
    pad_mode: str = "reflect",
    normalized: bool = False,
    onesided: bool | None = None,
    return_complex: bool | None = None,
    align_to_window: bool | None = None,
) -> Tensor:
    """The spectra of windows of a signal, (batch, length) -> (batch, frequencies, windows).

    Args:
        n_fft: how many samples a spectrum is made from.
        hop_length: the distance of the windows, a quarter of n_fft when left out.
        win_length: the window's length, n_fft when left out.
        window: the factors of the samples, ones when left out.
        center: the windows' middles are at multiples of hop_length; the signal is padded.
        normalized: divides by the square root of n_fft.
        onesided: only the first half of the spectrum; when left out, of real signals.
        return_complex: False for pairs of real numbers.
    """
    if align_to_window is not None and center:
        raise RuntimeError("stft align_to_window should only be set when center = false.")
    if window is None:
        warnings.warn(
            "A window was not provided. A rectangular window will be applied,which is known to "
            "cause spectral leakage. Other windows such as torch.hann_window or "
            "torch.hamming_window are recommended to reduce spectral leakage.To suppress this "
            "warning and use a rectangular window, explicitly set `window=torch.ones(n_fft, "
            "device=<device>)`.",
            stacklevel=2,
        )
    hop = n_fft // 4 if hop_length is None else hop_length
    length = n_fft if win_length is None else win_length
    is_complex = input.is_complex() or (window is not None and window.is_complex())
    if center and not align_to_window:
        shape = tuple(input._shape)
        extended = input.reshape((1,) * (3 - input.ndim) + shape) if input.ndim < 3 else input
        padded = ops.pad(extended, [n_fft // 2, n_fft // 2], pad_mode)
        input = padded.reshape((*shape[:-1], padded._shape[-1]))
    call = (
        f"stft(torch.{input.dtype.letter}Tensor{list(input._shape)}, n_fft={n_fft}, "
        f"hop_length={hop}, win_length={length}, window={_printed(window)}, "
        f"normalized={int(normalized)}, onesided={None if onesided is None else int(onesided)}, "
        f"return_complex={None if return_complex is None else int(return_complex)}, "
        f"align_to_window={None if align_to_window is None else int(align_to_window)}) : "
    )
    if return_complex is None and not is_complex:
        raise RuntimeError(
            "stft requires the return_complex parameter be given for real inputs, and will further "
            "require that return_complex=True in a future PyTorch release."
        )
    if not (input.is_floating_point() or input.is_complex()):
        raise RuntimeError(f"{call}expected a tensor of floating point or complex values")
    if input.ndim not in (1, 2):
        raise RuntimeError(f"{call}expected a 1D or 2D tensor")
    samples = input._shape[-1]
    if not 0 < n_fft <= samples:
        raise RuntimeError(f"{call}expected 0 < n_fft < {samples}, but got n_fft={n_fft}")
    if hop <= 0:
        raise RuntimeError(f"{call}expected hop_length > 0, but got hop_length={hop}")
    if not 0 < length <= n_fft:
        raise RuntimeError(f"{call}expected 0 < win_length <= n_fft, but got win_length={length}")
    if window is not None and window._shape != (length,):
        raise RuntimeError(
            f"{call}expected a 1D window tensor of size equal to win_length={length}, but got "
            f"window with size {list(window._shape)}"
        )
    if onesided and is_complex:
        raise RuntimeError("Cannot have onesided output if window or input is complex")
    if return_complex is False and not is_complex:
        warnings.warn(
            "stft with return_complex=False is deprecated. In a future pytorch release, stft will "
            "return complex tensors for all inputs, and return_complex=False will raise an error.\n"
            "Note: you can still call torch.view_as_real on the complex output to recover the old "
            "return format.",
            stacklevel=2,
        )
    if align_to_window:
        edge = (n_fft - length) // 2
        input = ops.constant_pad_nd(input, [edge, edge])
    pieces = input.unfold(-1, n_fft, hop)
    if window is not None or length < n_fft:
        pieces = pieces * _full_window(window, length, n_fft, input)
    norm = "ortho" if normalized else None
    half = not is_complex and onesided is not False
    spectra = _transform("rfft" if half else "fft", pieces, norm=norm).transpose(-2, -1)
    return spectra if return_complex or return_complex is None else ops.view_as_real(spectra)


def _check_inverse(
    call: str, input: Tensor, n_fft: int, hop: int, length: int, window: Any, half: bool
) -> None:
    if not input.numel():
        raise RuntimeError(f"{call} input tensor cannot be empty.")
    if input.ndim not in (2, 3):
        raise RuntimeError(
            f"{call} expected a tensor with 3 or 4 dimensions, but got {input.ndim + 1}"
        )
    frequencies = input._shape[-2]
    if half and n_fft // 2 + 1 != frequencies:
        raise RuntimeError(
            f"{call} expected the frequency dimension (3rd to the last) of the input tensor to "
            f"match n_fft / 2 + 1 when onesided=True, but got {frequencies}"
        )
    if not half and n_fft != frequencies:
        raise RuntimeError(
            f"{call} expected the frequency dimension (3rd to the last) of the input tensor to "
            f"match n_fft when onesided=False, but got {frequencies}"
        )
    if not 0 < hop <= length:
        raise RuntimeError(f"{call} expected 0 < hop_length <= win_length")
    if not 0 < length <= n_fft:
        raise RuntimeError(f"{call} expected 0 < win_length <= n_fft")
    if window is not None and window._shape != (length,):
        raise RuntimeError(
            f"{call} Invalid window shape. window has to be 1D and length of `win_length`"
        )


@operator(out=False)
def istft(
    input: Tensor,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Tensor | None = None,
    center: bool = True,
    normalized: bool = False,
    onesided: bool | None = None,
    length: int | None = None,
    return_complex: bool = False,
) -> Tensor:
    """The signal whose spectra ``stft`` gives: the sum of the pieces times their windows, divided
    by the sum of the squared windows (D. Griffin, J. Lim, Signal estimation from modified
    short-time Fourier transform, 1984).

    Args:
        length: how many samples of it to return.
    """
    if window is None:
        warnings.warn(
            "A window was not provided. A rectangular window will be applied.Please provide the "
            "same window used by stft to make the inversion lossless.To suppress this warning and "
            "use a rectangular window, explicitly set `window=torch.ones(n_fft, device=<device>)`.",
            stacklevel=2,
        )
    win_length = n_fft if win_length is None else win_length
    hop = n_fft // 4 if hop_length is None else hop_length
    if not input.is_complex():
        raise RuntimeError(
            "istft requires a complex-valued input tensor matching the output from stft with "
            "return_complex=True."
        )
    half = onesided if onesided is not None else input._shape[-2] != n_fft
    call = (
        f"istft(CPU{input.dtype.letter}Type{list(input._shape)}, n_fft={n_fft}, hop_length={hop}, "
        f"win_length={win_length}, window={_printed(window)}, center={int(center)}, "
        f"normalized={int(normalized)}, onesided={None if onesided is None else int(onesided)}, "
        f"length={length}, return_complex={int(return_complex)})"
    )
    separator = f"{call} :"
    _check_inverse(separator, input, n_fft, hop, win_length, window, half)
    if half and (return_complex or (window is not None and window.is_complex())):
        raise RuntimeError("Cannot have onesided output if window or input is complex")
    factors = _full_window(window, win_length, n_fft, input)
    single = input.ndim == 2
    spectra = (input.unsqueeze(0) if single else input).transpose(1, 2)
    norm = "ortho" if normalized else None
    if return_complex:
        pieces = _transform("ifft", spectra, norm=norm)
    else:
        pieces = _transform("irfft", spectra.narrow(-1, 0, n_fft // 2 + 1), n_fft, norm=norm)
    signal, weight = _overlapped(pieces, factors, hop)
    total = signal._shape[1]
    start = n_fft // 2 if center else 0
    stop = start + length if length is not None else total - start if center else total
    stop = min(stop, total)
    signal, weight = signal.narrow(1, start, stop - start), weight.narrow(0, start, stop - start)
    smallest = float(np.min(np.abs(weight._array()), initial=math.inf))
    if not smallest > 1e-11:
        raise RuntimeError(f"{call} window overlap add min: {int(smallest < 1e-11)}")
    result = signal / weight
    if length is not None and length > stop - start:
        warnings.warn(
            "The length of signal is shorter than the length parameter. Result is being padded "
            "with zeros in the tail. Please check your center and hop_length settings.",
            stacklevel=2,
        )
        result = ops.constant_pad_nd(result, [0, length - (stop - start)])
    return result.squeeze(0) if single else result


def _overlapped(pieces: Tensor, window: Tensor, hop: int) -> tuple[Tensor, Tensor]:
    """The sums of the pieces times the window, and of the squared windows, at each sample."""
    batch, count, size = pieces._shape
    total = size + hop * (count - 1)
    signal = fold_windows(pieces * window, shape=(batch, total), dim=1, size=size, step=hop)
    squares = (window * window).expand((count, size))
    return signal, fold_windows(squares, shape=(total,), dim=0, size=size, step=hop)
