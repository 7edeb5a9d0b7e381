"""Pooling layers."""

from fakel.nn import functional as F
from fakel.nn.modules.module import Module
from fakel.nn.modules.utils import _ntuple, own_constructor

__all__ = [
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveAvgPool3d",
    "AdaptiveMaxPool1d",
    "AdaptiveMaxPool2d",
    "AdaptiveMaxPool3d",
    "AvgPool1d",
    "AvgPool2d",
    "AvgPool3d",
    "FractionalMaxPool2d",
    "FractionalMaxPool3d",
    "LPPool1d",
    "LPPool2d",
    "LPPool3d",
    "MaxPool1d",
    "MaxPool2d",
    "MaxPool3d",
    "MaxUnpool1d",
    "MaxUnpool2d",
    "MaxUnpool3d",
]


class _MaxPoolNd(Module):
    """The maximum of each window.

    Args:
        kernel_size: size of the window.
        stride: step between windows; the size of the window by default.
        padding: negative infinities added at both ends.
        dilation: step between the elements of a window.
        return_indices: return the positions of the maxima as well.
        ceil_mode: round the output size up instead of down.
    """

    def __init__(
        self,
        kernel_size,
        stride=None,
        padding=0,
        dilation=1,
        return_indices=False,
        ceil_mode=False,
    ):
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.dilation = dilation
        self.return_indices = return_indices
        self.ceil_mode = ceil_mode

    def forward(self, input):
        return self._pool(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            ceil_mode=self.ceil_mode,
            return_indices=self.return_indices,
        )

    def extra_repr(self):
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class MaxPool1d(_MaxPoolNd):
    """The maximum of each window of signals, (N, C, L) or (C, L)."""

    def _pool(self, *args, **kwargs):
        return F.max_pool1d(*args, **kwargs)


class MaxPool2d(_MaxPoolNd):
    """The maximum of each window of images, (N, C, H, W) or (C, H, W)."""

    def _pool(self, *args, **kwargs):
        return F.max_pool2d(*args, **kwargs)


class MaxPool3d(_MaxPoolNd):
    """The maximum of each window of volumes, (N, C, D, H, W) or (C, D, H, W)."""

    def _pool(self, *args, **kwargs):
        return F.max_pool3d(*args, **kwargs)


class _MaxUnpoolNd(Module):
    """Puts maxima back to the places they came from; all other elements are zero.

    Args:
        kernel_size: size of the window of the pooling.
        stride: step between windows; the size of the window by default.
        padding: padding of the pooling.
    """

    __init_subclass__ = classmethod(own_constructor)

    def __init__(self, kernel_size, stride=None, padding=0):
        super().__init__()
        sizes = _ntuple(self._dimensions)
        self.kernel_size = sizes(kernel_size)
        self.stride = sizes(kernel_size if stride is None else stride)
        self.padding = sizes(padding)

    def forward(self, input, indices, output_size=None):
        return self._unpool(
            input, indices, self.kernel_size, self.stride, self.padding, output_size
        )

    def extra_repr(self):
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxUnpool1d(_MaxUnpoolNd):
    """Undoes :class:`MaxPool1d`, given the indices that it returned."""

    _dimensions = 1

    def _unpool(self, *args):
        return F.max_unpool1d(*args)


class MaxUnpool2d(_MaxUnpoolNd):
    """Undoes :class:`MaxPool2d`, given the indices that it returned."""

    _dimensions = 2

    def _unpool(self, *args):
        return F.max_unpool2d(*args)


class MaxUnpool3d(_MaxUnpoolNd):
    """Undoes :class:`MaxPool3d`, given the indices that it returned."""

    _dimensions = 3

    def _unpool(self, *args):
        return F.max_unpool3d(*args)


class _AvgPoolNd(Module):
    """The mean of each window."""

    def extra_repr(self):
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool1d(_AvgPoolNd):
    """The mean of each window of signals, (N, C, L) or (C, L).

    Args:
        kernel_size: size of the window.
        stride: step between windows; the size of the window by default.
        padding: zeros added at both ends.
        ceil_mode: round the output size up instead of down.
        count_include_pad: count the added zeros as elements.
    """

    def __init__(
        self, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True
    ):
        super().__init__()
        single = _ntuple(1)
        self.kernel_size = single(kernel_size)
        self.stride = single(kernel_size if stride is None else stride)
        self.padding = single(padding)
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad

    def forward(self, input):
        return F.avg_pool1d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
        )


class _AvgPoolWithDivisor(_AvgPoolNd):
    """The mean of each window, in two or three dimensions.

    Args: as of :class:`AvgPool1d`, and
        divisor_override: divide by this instead of the number of elements.
    """

    __init_subclass__ = classmethod(own_constructor)

    def __init__(
        self,
        kernel_size,
        stride=None,
        padding=0,
        ceil_mode=False,
        count_include_pad=True,
        divisor_override=None,
    ):
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor_override

    def forward(self, input):
        return self._pool(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )


class AvgPool2d(_AvgPoolWithDivisor):
    """The mean of each window of images, (N, C, H, W) or (C, H, W)."""

    def _pool(self, *args):
        return F.avg_pool2d(*args)


class AvgPool3d(_AvgPoolWithDivisor):
    """The mean of each window of volumes, (N, C, D, H, W) or (C, D, H, W)."""

    def _pool(self, *args):
        return F.avg_pool3d(*args)


class _FractionalMaxPoolNd(Module):
    """The maximum of windows whose places are drawn at random (Graham 2014, arXiv:1412.6071).

    Args:
        kernel_size: size of the window.
        output_size: size of the output, or
        output_ratio: size of the output as a fraction of the input's.
        return_indices: return the positions of the maxima as well.
    """

    def __init__(
        self,
        kernel_size,
        output_size=None,
        output_ratio=None,
        return_indices=False,
        _random_samples=None,
    ):
        super().__init__()
        sizes = _ntuple(self._dimensions)
        self.kernel_size = sizes(kernel_size)
        self.return_indices = return_indices
        self.register_buffer("_random_samples", _random_samples)
        self.output_size = None if output_size is None else sizes(output_size)
        self.output_ratio = None if output_ratio is None else sizes(output_ratio)
        if output_size is None and output_ratio is None:
            raise ValueError(
                f"{type(self).__name__} requires specifying either an output size, "
                "or a pooling ratio"
            )
        if output_size is not None and output_ratio is not None:
            raise ValueError("only one of output_size and output_ratio may be specified")
        if output_ratio is not None and not all(0 < ratio < 1 for ratio in self.output_ratio):
            raise ValueError(f"output_ratio must be between 0 and 1 (got {output_ratio})")

    def forward(self, input):
        return self._pool(
            input,
            self.kernel_size,
            self.output_size,
            self.output_ratio,
            self.return_indices,
            _random_samples=self._random_samples,
        )


class FractionalMaxPool2d(_FractionalMaxPoolNd):
    """Fractional max-pooling of images, (N, C, H, W) or (C, H, W)."""

    _dimensions = 2

    def _pool(self, *args, **kwargs):
        return F.fractional_max_pool2d(*args, **kwargs)


class FractionalMaxPool3d(_FractionalMaxPoolNd):
    """Fractional max-pooling of volumes, (N, C, D, H, W) or (C, D, H, W)."""

    _dimensions = 3

    def __init__(
        self,
        kernel_size,
        output_size=None,
        output_ratio=None,
        return_indices=False,
        _random_samples=None,
    ):
        if any(length <= 0 for length in _ntuple(3)(kernel_size)):
            raise ValueError(f"kernel_size must be greater than 0, but got {kernel_size}")
        super().__init__(kernel_size, output_size, output_ratio, return_indices, _random_samples)

    def _pool(self, *args, **kwargs):
        return F.fractional_max_pool3d(*args, **kwargs)


class _LPPoolNd(Module):
    """(Σ x^p)^(1/p) over each window.

    Args:
        norm_type: the exponent p.
        kernel_size: size of the window.
        stride: step between windows; the size of the window by default.
        ceil_mode: round the output size up instead of down.
    """

    def __init__(self, norm_type, kernel_size, stride=None, ceil_mode=False):
        super().__init__()
        self.norm_type = norm_type
        self.kernel_size = kernel_size
        self.stride = stride
        self.ceil_mode = ceil_mode

    def forward(self, input):
        return self._pool(
            input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode
        )

    def extra_repr(self):
        return (
            f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, "
            f"stride={self.stride}, ceil_mode={self.ceil_mode}"
        )


class LPPool1d(_LPPoolNd):
    """The p-norm of each window of signals, (N, C, L) or (C, L)."""

    def _pool(self, *args):
        return F.lp_pool1d(*args)


class LPPool2d(_LPPoolNd):
    """The p-norm of each window of images, (N, C, H, W) or (C, H, W)."""

    def _pool(self, *args):
        return F.lp_pool2d(*args)


class LPPool3d(_LPPoolNd):
    """The p-norm of each window of volumes, (N, C, D, H, W) or (C, D, H, W)."""

    def _pool(self, *args):
        return F.lp_pool3d(*args)


class _AdaptivePoolNd(Module):
    """Pooling with as many equal windows as the output has elements.

    Args:
        output_size: the size of the output; None keeps the input's in a dimension.
    """

    def __init__(self, output_size):
        super().__init__()
        self.output_size = output_size

    def extra_repr(self):
        return f"output_size={self.output_size}"


class _AdaptiveMaxPoolNd(_AdaptivePoolNd):
    """Adaptive pooling that takes maxima.

    Args:
        output_size: the size of the output.
        return_indices: return the positions of the maxima as well.
    """

    def __init__(self, output_size, return_indices=False):
        super().__init__(output_size)
        self.return_indices = return_indices


class AdaptiveMaxPool1d(_AdaptiveMaxPoolNd):
    """Maxima of signals, (N, C, L) or (C, L), with a given output size."""

    def forward(self, input):
        return F.adaptive_max_pool1d(input, self.output_size, self.return_indices)


class AdaptiveMaxPool2d(_AdaptiveMaxPoolNd):
    """Maxima of images, (N, C, H, W) or (C, H, W), with a given output size."""

    def forward(self, input):
        return F.adaptive_max_pool2d(input, self.output_size, self.return_indices)


class AdaptiveMaxPool3d(_AdaptiveMaxPoolNd):
    """Maxima of volumes, (N, C, D, H, W) or (C, D, H, W), with a given output size."""

    def forward(self, input):
        return F.adaptive_max_pool3d(input, self.output_size, self.return_indices)


class AdaptiveAvgPool1d(_AdaptivePoolNd):
    """Means of signals, (N, C, L) or (C, L), with a given output size."""

    def forward(self, input):
        return F.adaptive_avg_pool1d(input, self.output_size)


class AdaptiveAvgPool2d(_AdaptivePoolNd):
    """Means of images, (N, C, H, W) or (C, H, W), with a given output size."""

    def forward(self, input):
        return F.adaptive_avg_pool2d(input, self.output_size)


class AdaptiveAvgPool3d(_AdaptivePoolNd):
    """Means of volumes, (N, C, D, H, W) or (C, D, H, W), with a given output size."""

    def forward(self, input):
        return F.adaptive_avg_pool3d(input, self.output_size)
