"""Elementary functions of float32 in the loop IR: arithmetic only, so that LLVM vectorises them.

Each agrees with the true value to a few units in the last place. Methods: range reduction and
polynomials after S. L. Moshier's Cephes library; erf after the rational approximation of W. J.
Cody's kind that Eigen and XLA use.
"""

from __future__ import annotations

from collections.abc import Sequence

from fakel.compiler.loop_ir import Cast, Expression, Type, binary, call, cast, fma, literal, select

_F32 = Type("f32")


def polynomial(x: Expression, coefficients: Sequence[float]) -> Expression:
    """The polynomial with these coefficients, the highest power's first, by Horner's rule."""
    result = literal(coefficients[0], x.type)
    for coefficient in coefficients[1:]:
        result = fma(result, x, coefficient)
    return result


def _as_float(bits: Expression) -> Expression:
    return Cast(bits, Type("f32", bits.type.lanes), bits=True)


def _as_bits(x: Expression) -> Expression:
    return Cast(x, Type("i32", x.type.lanes), bits=True)


def _power_of_two(n: Expression) -> Expression:
    """2**n for an integral float from -126 to 127."""
    return _as_float((cast(n, "i32") + 127) * (1 << 23))


def exp(x: Expression) -> Expression:
    """e**x: x = n ln 2 + r, a polynomial in r, times 2**n in two steps, so that it may
    underflow.
    """
    limited = select(binary(">", x, 89.0), 89.0, x)
    limited = select(binary("<", limited, -104.0), -104.0, limited)
    n = call("rint", limited * 1.44269504088896341)
    r = fma(n, -0.693359375, limited)
    r = fma(n, 2.12194440e-4, r)
    series = polynomial(
        r,
        (
            1.9875691500e-4,
            1.3981999507e-3,
            8.3334519073e-3,
            4.1665795894e-2,
            1.6666665459e-1,
            5.0000001201e-1,
        ),
    )
    value = fma(series, r * r, r) + 1.0
    half = call("floor", n * 0.5)
    result = value * _power_of_two(half) * _power_of_two(n - half)
    # NaN passes through every comparison above
    return select(binary("!=", x, x), x, result)


def log(x: Expression) -> Expression:
    """The natural logarithm: the exponent's part plus a polynomial of the mantissa near 1."""
    tiny = binary("<", x, 1.17549435e-38)
    scaled = select(tiny, x * 8388608.0, x)
    bits = _as_bits(scaled)
    exponent = cast(binary(">>", bits, 23) - 126, "f32")
    exponent = exponent - select(tiny, literal(23.0, _F32), 0.0)
    mantissa = _as_float(binary("|", binary("&", bits, 0x007FFFFF), 0x3F000000))
    small = binary("<", mantissa, 0.707106781186547524)
    exponent = select(small, exponent - 1.0, exponent)
    f = select(small, mantissa + mantissa, mantissa) - 1.0
    square = f * f
    series = polynomial(
        f,
        (
            7.0376836292e-2,
            -1.1514610310e-1,
            1.1676998740e-1,
            -1.2420140846e-1,
            1.4249322787e-1,
            -1.6668057665e-1,
            2.0000714765e-1,
            -2.4999993993e-1,
            3.3333331174e-1,
        ),
    )
    result = series * f * square
    result = fma(exponent, -2.12194440e-4, result)
    result = fma(square, -0.5, result)
    result = f + result
    result = fma(exponent, 0.693359375, result)
    infinity = literal(float("inf"), _F32)
    result = select(binary("==", x, infinity), infinity, result)
    result = select(binary("==", x, 0.0), literal(-float("inf"), _F32), result)
    nan = literal(float("nan"), _F32)
    result = select(binary("<", x, 0.0), nan, result)
    return select(binary("!=", x, x), x, result)


def sigmoid(x: Expression) -> Expression:
    """1 / (1 + e**-x)."""
    return 1.0 / (exp(-x) + 1.0)


def tanh(x: Expression) -> Expression:
    """A polynomial near 0, 1 - 2 / (e**2|x| + 1) with x's sign elsewhere."""
    size = call("fabs", x)
    large = 1.0 - 2.0 / (exp(size + size) + 1.0)
    square = x * x
    series = polynomial(
        square,
        (
            -5.70498872745e-3,
            2.06390887954e-2,
            -5.37397155531e-2,
            1.33314422036e-1,
            -3.33332819422e-1,
        ),
    )
    near = fma(series * square, x, x)
    return select(binary("<", size, 0.625), near, call("copysign", large, x))


def erf(x: Expression) -> Expression:
    """The error function, a ratio of polynomials on [-4, 4]."""
    limited = select(binary(">", x, 4.0), 4.0, select(binary("<", x, -4.0), -4.0, x))
    square = limited * limited
    above = polynomial(
        square,
        (
            -2.72614225801306e-10,
            2.77068142495902e-08,
            -2.10102402082508e-06,
            -5.69250639462346e-05,
            -7.34990630326855e-04,
            -2.95459980854025e-03,
            -1.60960333262415e-02,
        ),
    )
    below = polynomial(
        square,
        (
            -1.45660718464996e-05,
            -2.13374055278905e-04,
            -1.68282697438203e-03,
            -7.37332916720468e-03,
            -1.42647390514189e-02,
        ),
    )
    result = limited * above / below
    return select(binary("!=", x, x), x, result)
