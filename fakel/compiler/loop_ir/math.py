"""Elementary functions of float32 and float64 in the loop IR, as arithmetic, so that they run on
vectors.

Each agrees with the true value to a few units in the last place. Methods: range reduction and
approximations after S. L. Moshier's Cephes library; erf of float32 after the rational function of
Eigen and XLA. Rarer functions of float32 are computed in float64, rarer ones of float64 are those
of the C library.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence

from fakel.compiler.loop_ir.language import (
    Cast,
    Expression,
    Type,
    binary,
    call,
    cast,
    fma,
    literal,
    rarely,
    select,
)

_INFINITY = math.inf


def polynomial(x: Expression, coefficients: Sequence[float]) -> Expression:
    """The polynomial with these coefficients, the highest power's first, by Horner's rule."""
    result = literal(coefficients[0], x.type)
    for coefficient in coefficients[1:]:
        result = fma(result, x, coefficient)
    return result


def _is_single(x: Expression) -> bool:
    return x.type.scalar == "f32"


def _as_float(bits: Expression) -> Expression:
    kind = {"i32": "f32", "i64": "f64"}[bits.type.scalar]
    return Cast(bits, Type(kind, bits.type.lanes), bits=True)


def _as_bits(x: Expression) -> Expression:
    return Cast(x, Type("i32" if _is_single(x) else "i64", x.type.lanes), bits=True)


def _power_of_two(n: Expression) -> Expression:
    """2**n for an integral float that gives a normal number."""
    whole = cast(n, "i32")
    if _is_single(n):
        return _as_float((whole + 127) * (1 << 23))
    return _as_float((cast(whole, "i64") + 1023) * (1 << 52))


def _keep_nan(x: Expression, result: Expression) -> Expression:
    return select(binary("!=", x, x), x, result)


def in_double(
    function: Callable[..., Expression],
) -> Callable[..., Expression]:
    """The function, computed in float64 also for float32."""

    @functools.wraps(function)
    def computed(*arguments: Expression) -> Expression:
        scalar = arguments[0].type.scalar
        return cast(function(*[cast(argument, "f64") for argument in arguments]), scalar)

    return computed


def single_in_double(name: str) -> Callable[..., Callable[..., Expression]]:
    """The function, computed in float64 for float32; the C library's for float64."""

    def choose(function: Callable[..., Expression]) -> Callable[..., Expression]:
        wide = in_double(function)

        @functools.wraps(function)
        def computed(*arguments: Expression) -> Expression:
            if _is_single(arguments[0]):
                return wide(*arguments)
            return library(name, *arguments)

        return computed

    return choose


def library(name: str, *arguments: Expression) -> Expression:
    """A function of the C library, one lane after the other."""
    suffix = "f" if _is_single(arguments[0]) else ""
    return call(f"library.{name}{suffix}", *arguments)


# -------------------------------------------------------------------- exponentials


def exp(x: Expression) -> Expression:
    """e**x: x = n ln 2 + r, an approximation in r, times 2**n in two steps, so that it may
    underflow.
    """
    low, high = (-104.0, 89.0) if _is_single(x) else (-746.0, 710.0)
    limited = select(binary(">", x, high), high, x)
    limited = select(binary("<", limited, low), low, limited)
    n = call("rint", limited * 1.44269504088896341)
    value = _exp_of_rest_single(n, limited) if _is_single(x) else _exp_of_rest(n, limited)
    half = call("floor", n * 0.5)
    # NaN passes through every comparison above
    return _keep_nan(x, value * _power_of_two(half) * _power_of_two(n - half))


def _exp_of_rest_single(n: Expression, x: Expression) -> Expression:
    r = fma(n, -0.693359375, x)
    return _expm1_near_single(fma(n, 2.12194440e-4, r)) + 1.0


def _expm1_near_single(r: Expression) -> Expression:
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
    return fma(series, r * r, r)


def _exp_of_rest(n: Expression, x: Expression) -> Expression:
    r = fma(n, -6.93145751953125e-1, x)
    r = fma(n, -1.42860682030941723212e-6, r)
    square = r * r
    above = r * polynomial(
        square,
        (1.26177193074810590878e-4, 3.02994407707441961300e-2, 9.99999999999999999910e-1),
    )
    below = polynomial(
        square,
        (
            3.00198505138664455042e-6,
            2.52448340349684104192e-3,
            2.27265548208155028766e-1,
            2.00000000000000000005e0,
        ),
    )
    return fma(above / (below - above), 2.0, 1.0)


@single_in_double("exp2")
def exp2(x: Expression) -> Expression:
    """2**x."""
    return exp(x * 0.693147180559945309417)


def expm1(x: Expression) -> Expression:
    """e**x - 1, accurate near 0."""
    if not _is_single(x):
        return library("expm1", x)
    near = binary("<", call("fabs", x), 0.34)
    return call("copysign", select(near, _expm1_near_single(x), exp(x) - 1.0), x)


def _exp_beside_one(x: Expression) -> Expression:
    """e**x in fewer steps, for sums with 1: no less than e**-87, and infinite above 89."""
    if not _is_single(x):
        return exp(x)
    limited = select(binary(">", x, 89.0), 89.0, x)
    limited = select(binary("<", limited, -87.0), -87.0, limited)
    # the sum is rounded to a whole n, which its lowest bits are
    shifted = fma(limited, 1.44269504088896341, 1.5 * 2**23)
    power = _as_float(_as_bits(shifted) * (1 << 23) + (127 << 23))
    return _exp_of_rest_single(shifted - 1.5 * 2**23, limited) * power


def sigmoid(x: Expression) -> Expression:
    """1 / (1 + e**-x)."""
    return 1.0 / (_exp_beside_one(-x) + 1.0)


def tanh(x: Expression) -> Expression:
    """A polynomial near 0, 1 - 2 / (e**2|x| + 1) with x's sign elsewhere."""
    if not _is_single(x):
        return library("tanh", x)
    size = call("fabs", x)
    large = 1.0 - 2.0 / (_exp_beside_one(size + size) + 1.0)
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
    return call("copysign", select(binary("<", size, 0.625), near, large), x)


@single_in_double("sinh")
def sinh(x: Expression) -> Expression:
    """(e**x - e**-x) / 2."""
    power = exp(x)
    near = x * fma(x * x, 1 / 6, 1.0)
    return select(binary("<", call("fabs", x), 1e-3), near, (power - 1.0 / power) * 0.5)


@single_in_double("cosh")
def cosh(x: Expression) -> Expression:
    """(e**x + e**-x) / 2."""
    power = exp(x)
    return (power + 1.0 / power) * 0.5


# -------------------------------------------------------------------- logarithms


def log(x: Expression) -> Expression:
    """The natural logarithm: the exponent's part plus a function of the mantissa near 1."""
    single = _is_single(x)
    lift, shift, middle = (23, 23, 126) if single else (52, 52, 1022)
    tiny = binary("<", x, 1.17549435e-38 if single else 2.2250738585072014e-308)
    scaled = select(tiny, x * float(2**lift), x)
    bits = _as_bits(scaled)
    whole = cast(binary(">>", bits, shift) - middle, "i32")
    exponent = cast(whole, x.type.scalar)
    exponent = exponent - select(tiny, literal(lift, Type(x.type.scalar)), 0.0)
    fraction, half = (0x007FFFFF, 0x3F000000) if single else (2**52 - 1, 1022 << 52)
    mantissa = _as_float(binary("|", binary("&", bits, fraction), half))
    small = binary("<", mantissa, 0.707106781186547524)
    exponent = select(small, exponent - 1.0, exponent)
    f = select(small, mantissa + mantissa, mantissa) - 1.0
    square = f * f
    result = f * square * (_log_single(f) if single else _log_double(f))
    result = fma(exponent, -2.121944400546905827679e-4, result)
    result = fma(square, -0.5, result)
    result = f + result
    result = fma(exponent, 0.693359375, result)
    kind = Type(x.type.scalar)
    infinity = literal(_INFINITY, kind)
    result = select(binary("==", x, infinity), infinity, result)
    result = select(binary("==", x, 0.0), literal(-_INFINITY, kind), result)
    result = select(binary("<", x, 0.0), literal(math.nan, kind), result)
    return _keep_nan(x, result)


def _log_single(f: Expression) -> Expression:
    return polynomial(
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


def _log_double(f: Expression) -> Expression:
    above = polynomial(
        f,
        (
            1.01875663804580931796e-4,
            4.97494994976747001425e-1,
            4.70579119878881725854e0,
            1.44989225341610930846e1,
            1.79368678507819816313e1,
            7.70838733755885391666e0,
        ),
    )
    below = polynomial(
        f,
        (
            1.0,
            1.12873587189167450590e1,
            4.52279145837532221105e1,
            8.29875266912776603211e1,
            7.11544750618563894466e1,
            2.31251620126765340583e1,
        ),
    )
    return above / below


@single_in_double("log2")
def log2(x: Expression) -> Expression:
    """The logarithm to base 2."""
    return log(x) * 1.44269504088896341


@single_in_double("log10")
def log10(x: Expression) -> Expression:
    """The logarithm to base 10."""
    return log(x) * 0.434294481903251828


def log1p(x: Expression) -> Expression:
    """log(1 + x), accurate near 0: what rounding 1 + x loses is made up for by a factor."""
    above = x + 1.0
    rounded = above - 1.0
    plain = binary("|", binary("==", rounded, 0.0), binary("==", x, _INFINITY))
    return select(plain, x, log(above) * (x / rounded))


@single_in_double("asinh")
def asinh(x: Expression) -> Expression:
    """The inverse of sinh."""
    size = call("fabs", x)
    far = log(size + call("sqrt", fma(size, size, 1.0)))
    near = size * polynomial(size * size, (3 / 40, -1 / 6, 1.0))
    return call("copysign", select(binary("<", size, 1e-2), near, far), x)


@single_in_double("acosh")
def acosh(x: Expression) -> Expression:
    """The inverse of cosh."""
    result = log(x + call("sqrt", (x - 1.0) * (x + 1.0)))
    return select(binary("<", x, 1.0), literal(math.nan, x.type), result)


@single_in_double("atanh")
def atanh(x: Expression) -> Expression:
    """The inverse of tanh."""
    square = x * x
    near = x * polynomial(square, (1 / 5, 1 / 3, 1.0))
    far = log((x + 1.0) / (1.0 - x)) * 0.5
    return select(binary("<", square, 1e-4), near, far)


@single_in_double("pow")
def power(x: Expression, y: Expression) -> Expression:
    """x**y, after C's rules for zeros, infinities and negative numbers."""
    size = exp(y * log(call("fabs", x)))
    whole = binary("==", call("trunc", y), y)
    half = y * 0.5
    odd = binary("&", whole, binary("!=", call("trunc", half), half))
    # beyond 2**53 every number is even, and the halves of infinities are whole
    negative = binary("<", call("copysign", literal(1.0, x.type), x), 0.0)
    signed = select(binary("&", odd, negative), -size, size)
    finite = binary("<", call("fabs", x), _INFINITY)
    undefined = binary(
        "&", binary("&", binary("<", x, 0.0), finite), binary("!=", y, call("trunc", y))
    )
    signed = select(undefined, literal(math.nan, x.type), signed)
    # |x| = 1 to an infinite power is 0 * infinity above
    unit = binary("&", binary("==", call("fabs", x), 1.0), binary("==", call("fabs", y), _INFINITY))
    one = binary("|", binary("==", x, 1.0), binary("|", binary("==", y, 0.0), unit))
    return select(one, literal(1.0, x.type), signed)


# -------------------------------------------------------------------- angles

# pi / 2 is the sum of these
_HALF_PI = (1.5707963267948966, 6.123233995736766e-17, -1.4973849048591698e-33)
# larger angles lose too much in their reduction
_LARGE_ANGLE = 2.0**30


def _quadrant(x: Expression) -> tuple[Expression, Expression]:
    """The angle's number of right angles modulo 4, as a float, and the rest, in float64."""
    n = call("rint", x * 0.63661977236758134308)
    r = x
    for part in _HALF_PI:
        r = fma(n, -part, r)
    r = select(binary("==", n, 0.0), x, r)
    return n - call("floor", n * 0.25) * 4.0, r


def _sine_near(r: Expression) -> Expression:
    square = r * r
    series = polynomial(
        square,
        (
            1.58962301576546568060e-10,
            -2.50507477628578072866e-8,
            2.75573136213857245213e-6,
            -1.98412698295895385996e-4,
            8.33333333332211858878e-3,
            -1.66666666666666307295e-1,
        ),
    )
    return fma(series * square, r, r)


def _cosine_near(r: Expression) -> Expression:
    square = r * r
    series = polynomial(
        square,
        (
            -1.13585365213876817300e-11,
            2.08757008419747316778e-9,
            -2.75573141792967388112e-7,
            2.48015872888517045348e-5,
            -1.38888888888730564116e-3,
            4.16666666666665929218e-2,
        ),
    )
    return fma(series * square, square, fma(square, -0.5, 1.0))


def _of_angle(name: str) -> Callable[..., Callable[..., Expression]]:
    """A function of an angle in radians; the C library's for large angles."""

    def choose(function: Callable[[Expression], Expression]) -> Callable[[Expression], Expression]:
        wide = in_double(function)

        @functools.wraps(function)
        def computed(x: Expression) -> Expression:
            large = binary(">", call("fabs", x), _LARGE_ANGLE)
            return rarely(large, library(name, x), wide(x))

        return computed

    return choose


@_of_angle("sin")
def sin(x: Expression) -> Expression:
    """The sine of an angle in radians."""
    quadrant, r = _quadrant(x)
    odd = binary("|", binary("==", quadrant, 1.0), binary("==", quadrant, 3.0))
    value = select(odd, _cosine_near(r), _sine_near(r))
    # the sine of -0 is -0
    return select(binary("==", x, 0.0), x, select(binary(">=", quadrant, 2.0), -value, value))


@_of_angle("cos")
def cos(x: Expression) -> Expression:
    """The cosine of an angle in radians."""
    quadrant, r = _quadrant(x)
    odd = binary("|", binary("==", quadrant, 1.0), binary("==", quadrant, 3.0))
    value = select(odd, _sine_near(r), _cosine_near(r))
    negative = binary("|", binary("==", quadrant, 1.0), binary("==", quadrant, 2.0))
    return select(negative, -value, value)


@_of_angle("tan")
def tan(x: Expression) -> Expression:
    """The tangent of an angle in radians."""
    quadrant, r = _quadrant(x)
    odd = binary("|", binary("==", quadrant, 1.0), binary("==", quadrant, 3.0))
    sine, cosine = _sine_near(r), _cosine_near(r)
    ratio = select(odd, -cosine, sine) / select(odd, sine, cosine)
    return select(binary("==", x, 0.0), x, ratio)


@in_double
def atan(x: Expression) -> Expression:
    """The angle whose tangent this is."""
    size = call("fabs", x)
    far, middle = binary(">", size, 2.41421356237309504880), binary(">", size, 0.66)
    above = select(far, literal(-1.0, x.type), select(middle, size - 1.0, size))
    below = select(far, size, select(middle, size + 1.0, literal(1.0, x.type)))
    ratio = above / below
    square = ratio * ratio
    p = polynomial(
        square,
        (
            -8.750608600031904122785e-1,
            -1.615753718733365076637e1,
            -7.500855792314704667340e1,
            -1.228866684490136173410e2,
            -6.485021904942025371773e1,
        ),
    )
    q = polynomial(
        square,
        (
            1.0,
            2.485846490142306297962e1,
            1.650270098316988542046e2,
            4.328810604912902668951e2,
            4.853903996359136964868e2,
            1.945506571482613964425e2,
        ),
    )
    near = fma(square * p / q, ratio, ratio)
    base = select(
        far, literal(math.pi / 2, x.type), select(middle, literal(math.pi / 4, x.type), 0.0)
    )
    rest = select(
        far,
        literal(6.123233995736766e-17, x.type),
        select(middle, literal(3.061616997868383e-17, x.type), 0.0),
    )
    return _keep_nan(x, call("copysign", base + (near + rest), x))


@in_double
def asin(x: Expression) -> Expression:
    """The angle, from -pi/2 to pi/2, whose sine this is."""
    return atan(x / call("sqrt", (1.0 - x) * (x + 1.0)))


@in_double
def acos(x: Expression) -> Expression:
    """The angle, from 0 to pi, whose cosine this is."""
    other = call("sqrt", (1.0 - x) * (x + 1.0))
    return atan2(other, x)


@in_double
def atan2(y: Expression, x: Expression) -> Expression:
    """The angle of the point (x, y)."""
    infinite = binary(
        "&",
        binary("==", call("fabs", x), _INFINITY),
        binary("==", call("fabs", y), _INFINITY),
    )
    one = literal(1.0, x.type)
    above = select(infinite, call("copysign", one, y), y)
    below = select(infinite, call("copysign", one, x), x)
    slope = call("fabs", above) / call("fabs", below)
    origin = binary("&", binary("==", y, 0.0), binary("==", x, 0.0))
    angle = atan(select(origin, literal(0.0, x.type), slope))
    behind = binary("<", call("copysign", one, x), 0.0)
    turned = (math.pi - angle) + 1.2246467991473532e-16
    angle = call("copysign", select(behind, turned, angle), y)
    return _keep_nan(y, _keep_nan(x, angle))


# -------------------------------------------------------------------- error function


def erf(x: Expression) -> Expression:
    """The error function; for float32 a ratio of polynomials on [-4, 4]."""
    if not _is_single(x):
        return library("erf", x)
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
    result = select(binary(">", result, 1.0), 1.0, result)
    return _keep_nan(x, select(binary("<", result, -1.0), -1.0, result))


def erfc(x: Expression) -> Expression:
    """1 - erf(x), accurate where that is small."""
    return library("erfc", x)
