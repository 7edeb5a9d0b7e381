"""torch.fft and the short-time transform."""

import numpy as np

from tests.support.case import case, floats

X = "fft."
LOOSE = {"tolerance": 10, "dtypes": ("float32", "float64", "complex64"), "gradient": None}
REAL = {"tolerance": 10, "gradient": None}
PLAIN = {"gradient": 0}


def transform(name, numpy, *, options=LOOSE, several=False):
    if several:
        return [
            case(X + name, floats(4, 6), numpy=numpy, options=options),
            case(X + name, floats(2, 4, 6), dim=(0, 2), options=options),
            case(X + name, floats(4, 6), norm="ortho", options=options),
        ]
    return [
        case(X + name, floats(3, 8), numpy=numpy, options=options),
        case(X + name, floats(3, 8), n=5, dim=0, options=options),
        case(X + name, floats(3, 8), norm="ortho", options=options),
    ]


CASES = [
    *transform("fft", np.fft.fft),
    *transform("ifft", np.fft.ifft),
    *transform("rfft", np.fft.rfft, options=REAL),
    *transform("irfft", np.fft.irfft),
    *transform("hfft", np.fft.hfft),
    *transform("ihfft", np.fft.ihfft, options=REAL),
    *transform("fft2", np.fft.fft2)[::2],
    *transform("ifft2", np.fft.ifft2)[::2],
    *transform("rfft2", np.fft.rfft2, options=REAL)[::2],
    *transform("irfft2", np.fft.irfft2)[::2],
    *transform("hfft2", None)[::2],
    *transform("ihfft2", None, options=REAL)[::2],
    *transform("fftn", np.fft.fftn, several=True),
    *transform("ifftn", np.fft.ifftn, several=True),
    *transform("rfftn", np.fft.rfftn, options=REAL, several=True),
    *transform("irfftn", np.fft.irfftn, several=True),
    *transform("hfftn", None, several=True),
    *transform("ihfftn", None, options=REAL, several=True),
    case(X + "fftfreq", 8, options=PLAIN),
    case(X + "fftfreq", 5, 0.5, options=PLAIN),
    case(X + "rfftfreq", 8, options=PLAIN),
    case(X + "fftshift", floats(4, 5), numpy=np.fft.fftshift),
    case(X + "ifftshift", floats(4, 5), dim=1),
    case(
        "stft",
        floats(2, 64),
        16,
        4,
        window=floats(16, domain="positive"),
        return_complex=True,
        options={"gradient": None, "tolerance": 20, "out": False},
    ),
    case(
        "istft",
        floats(9, 13, dtype="complex64"),
        16,
        4,
        window=floats(16, domain="positive"),
        options={"gradient": None, "tolerance": 50, "dtypes": ("float32",), "out": False},
    ),
]
