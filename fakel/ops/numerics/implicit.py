"""How gamma and Dirichlet numbers move with their parameters: implicit derivatives.

A random number x with distribution function F moves with a parameter a such that F(x; a) stays what
it is: ``dx/da = -(dF/da) / (dF/dx)``. PyTorch approximates these derivatives region by region, with
relative errors of up to about 1e-3; the approximations here are its own, so that gradients agree.
(M. Figurnov, S. Mohamed, A. Mnih, "Implicit reparameterization gradients", 2018; M. Jankowiak and
F. Obermeyer, "Pathwise derivatives beyond the reparameterization trick", 2018)
"""

from __future__ import annotations

import numpy as np

_TAYLOR_TERMS = 5
_ALPHA_TERMS = 10
_BETA_TERMS = 8

# numerator and denominator, by powers of log(x / alpha) (rows) and log(alpha)
_GAMMA_NUMERATOR = (
    (0.16009398, -0.094634809, 0.025146376, -0.0030648343),
    (0.53487893, 0.1298071, 0.065735949, -0.0015649758),
    (0.040121004, -0.0065914022, -0.0026286047, -0.0013441777),
)
_GAMMA_DENOMINATOR = (
    (1, 0.32668115, 0.10406089, 0.0014179084),
    (0.16639465, 0.020070113, -0.0035938915, -0.00058392623),
    (0.017050642, -0.0021309326, 0.00085092367, -1.5247877e-07),
)

# by powers of u = log(x), of a = log(alpha) - u and of b = log(total) - a
_BETA_NUMERATOR = (
    (
        (1.003668233, -0.01061107488, -0.0657888334, 0.01201642863),
        (0.6336835991, -0.3557432599, 0.05486251648, -0.001465281033),
        (-0.03276231906, 0.004474107445, 0.002429354597, -0.0001557569013),
    ),
    (
        (0.221950385, -0.3187676331, 0.01799915743, 0.01074823814),
        (-0.2951249643, 0.06219954479, 0.01535556598, 0.001550077057),
        (0.02155310298, 0.004170831599, 0.001292462449, 6.976601077e-05),
    ),
    (
        (-0.05980841433, 0.008441916499, 0.01085618172, 0.002319392565),
        (0.02911413504, 0.01400243777, -0.002721828457, 0.000751041181),
        (0.005900514878, -0.001936558688, -9.495446725e-06, 5.385558597e-05),
    ),
)
_BETA_DENOMINATOR = (
    (
        (1, -0.02924021934, -0.04438342661, 0.007285809825),
        (0.6357567472, -0.3473456711, 0.05454656494, -0.002407477521),
        (-0.03301322327, 0.004845219414, 0.00231480583, -0.0002307248149),
    ),
    (
        (0.5925320577, -0.1757678135, 0.01505928619, 0.000564515273),
        (0.1014815858, -0.06589186703, 0.01272886114, -0.0007316646956),
        (-0.007258481865, 0.001096195486, 0.0003934994223, -4.12701925e-05),
    ),
    (
        (0.06469649321, -0.0236701437, 0.002902096474, -5.896963079e-05),
        (0.001925008108, -0.002869809258, 0.0008000589141, -6.063713228e-05),
        (-0.0003477407336, 6.959756487e-05, 1.097287507e-05, -1.650964693e-06),
    ),
)


def gamma_gradient(alpha: np.ndarray, x: np.ndarray) -> np.ndarray:
    """``dx/dalpha`` of standard gamma numbers x with shape parameters alpha, in float64."""
    alpha, x = np.broadcast_arrays(alpha.astype(np.float64), x.astype(np.float64))
    small = x < 0.8
    large = ~small & (alpha > 8)
    near = large & (0.9 * alpha <= x) & (x <= 1.1 * alpha)
    regions = (
        (small, _gamma_small),
        (near, _gamma_near_its_mean),
        (large & ~near, _gamma_saddle_point),
        (~small & ~large, _gamma_rational),
    )
    return _by_region(regions, alpha, x)


def _by_region(regions, *arrays: np.ndarray) -> np.ndarray:
    result = np.empty(arrays[0].shape)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        for mask, formula in regions:
            if mask.any():
                result[mask] = formula(*(array[mask] for array in arrays))
    return result


def _gamma_small(alpha, x):
    # Taylor's series of the distribution function
    numerator, denominator = np.ones_like(x), alpha
    first, second = 1 / denominator, 1 / denominator**2
    for k in range(1, _TAYLOR_TERMS + 1):
        numerator = numerator * (-x / k)
        denominator = denominator + 1
        first = first + numerator / denominator
        second = second + numerator / denominator**2
    power = x**alpha
    density = x ** (alpha - 1) * np.exp(-x)
    slope = (np.log(x) - _digamma(alpha)) * (power * first) - power * second
    return np.nan_to_num(-slope / density, nan=0.0, posinf=np.inf, neginf=-np.inf)


def _gamma_near_its_mean(alpha, x):
    # the saddle point formula's limit where it is 0 / 0
    stirling = 1 + 24 * alpha * (1 + 12 * alpha)
    expansion = (
        1440 * alpha**2 + 6 * x * (53 - 120 * x) - 65 * x * x / alpha + alpha * (107 + 3600 * x)
    )
    return stirling * expansion / (1244160 * alpha**4)


def _gamma_saddle_point(alpha, x):
    # Rice's expansion for large alpha
    width = np.sqrt(8 * alpha)
    ratio = np.log(x / alpha)
    power = (x - alpha - alpha * ratio) ** -1.5
    signed = width / (alpha - x) + np.where(x < alpha, -power, power)
    term = ratio * signed - np.sqrt(2 / alpha) * (alpha + x) / (alpha - x) ** 2
    stirling = 1 + 1 / (12 * alpha) * (1 + 1 / (24 * alpha))
    return -stirling * x * term / width


def _gamma_rational(alpha, x):
    u, v = np.log(x / alpha), np.log(alpha)
    numerator = np.polynomial.polynomial.polyval2d(u, v, _GAMMA_NUMERATOR)
    denominator = np.polynomial.polynomial.polyval2d(u, v, _GAMMA_DENOMINATOR)
    return np.exp(numerator / denominator)


def dirichlet_gradient(x: np.ndarray, alpha: np.ndarray, total: np.ndarray) -> np.ndarray:
    """``dx/dalpha / (1 - x)`` of shares x with concentrations alpha, which sum to total.

    A share is beta distributed, with the parameters alpha and ``beta = total - alpha``. Near 0 and
    1 the computation is in the arrays' dtype, else in float64.
    """
    x, alpha, total = np.broadcast_arrays(x, alpha, total)
    beta = total - alpha
    boundary = total * x * (1 - x)
    near_0 = (x <= 0.5) & (boundary < 2.5)
    near_1 = ~near_0 & (x >= 0.5) & (boundary < 0.75)
    inside = ~near_0 & ~near_1
    large = inside & (alpha > 6) & (beta > 6)
    regions = (
        (near_0, _beta_near_0),
        (near_1, _beta_near_1),
        (large, _beta_large),
        (inside & ~large, _beta_rational),
    )
    return _by_region(regions, x, alpha, beta, total)


def _beta_near_0(x, alpha, beta, _):
    # Taylor's series of the distribution function
    factor = _digamma(alpha) - _digamma(alpha + beta) - np.log(x)
    numerator = np.ones_like(x)
    series = numerator / alpha * (factor + 1 / alpha)
    for k in np.arange(1, _ALPHA_TERMS + 1, dtype=x.dtype):
        numerator = numerator * ((k - beta) * x / k)
        series = series + numerator / (alpha + k) * (factor + 1 / (alpha + k))
    result = x * (1 - x) ** -beta * series
    return np.nan_to_num(result, nan=0.0, posinf=np.inf, neginf=-np.inf)


def _beta_near_1(x, alpha, beta, _):
    # the same from the other end, where x is 1 - x and the parameters are exchanged
    x, alpha, beta = 1 - x, beta, alpha
    factor = _digamma(alpha + beta) - _digamma(beta)
    numerator, product, slope = np.ones_like(x), np.ones_like(x), np.zeros_like(x)
    series = factor / alpha
    for k in np.arange(1, _BETA_TERMS + 1, dtype=x.dtype):
        numerator = numerator * (-x / k)
        slope = slope * (beta - k) + product
        product = product * (beta - k)
        series = series + numerator / (alpha + k) * (slope + factor * product)
    result = (1 - x) ** (1 - beta) * series
    return np.nan_to_num(result, nan=0.0, posinf=np.inf, neginf=-np.inf)


def _beta_large(*arrays):
    # Rice's saddle point expansion, and its limit at the mean, where it is 0 / 0
    x, alpha, beta, _ = (array.astype(np.float64) for array in arrays)
    total = alpha + beta
    mean = alpha / total
    deviation = np.sqrt(alpha * beta / (total + 1)) / total
    near = (mean - 0.1 * deviation <= x) & (x <= mean + 0.1 * deviation)
    regions = ((near, _beta_near_its_mean), (~near, _beta_saddle_point))
    return _by_region(regions, x, alpha, beta)


def _beta_near_its_mean(x, alpha, beta):
    total = alpha + beta
    by_alpha = (
        47 * x * beta**4,
        (43 + 20 * (16 + 27 * beta) * x) * beta**3,
        3 * (59 + 180 * beta - 90 * x) * beta**2,
        (453 + 1620 * beta * (1 - x) - 455 * x) * beta,
        8 * (1 - x) * (135 * beta - 11),
    )
    expansion = sum(factor * alpha**power for power, factor in enumerate(by_alpha))
    stirling = (1 + 12 * alpha) * (1 + 12 * beta) / (1 + 12 * total)
    return stirling / total**2 / (1 - x) * expansion / (12960 * alpha**3 * beta**2)


def _beta_saddle_point(x, alpha, beta):
    total = alpha + beta
    mean = alpha / total
    prefactor = -x / np.sqrt(2 * alpha * beta / total)
    stirling = _stirling(alpha) * _stirling(beta) / _stirling(total)
    distance = alpha * (x - 1) + beta * x  # total * (x - mean)
    squares = 2 * alpha**2 * (x - 1) + alpha * beta * (x - 1) - x * beta**2
    first = squares / (np.sqrt(2 * alpha / beta) * total**1.5 * distance**2)
    ratio = 0.5 * np.log(alpha / (total * x))
    pole = np.sqrt(8 * alpha * beta / total) / distance
    entropy = beta * np.log(beta / (total * (1 - x))) + alpha * np.log(alpha / (total * x))
    power = entropy**-1.5
    return stirling * prefactor * (first + ratio * (pole + np.where(x < mean, power, -power)))


def _stirling(z):
    return 1 + 1 / (12 * z) + 1 / (288 * z * z)


def _beta_rational(*arrays):
    # a rational correction of a simple approximation
    difference = _digamma(arrays[3]) - _digamma(arrays[1])
    x, alpha, _, total = (array.astype(np.float64) for array in arrays)
    u = np.log(x)
    a = np.log(alpha) - u
    b = np.log(total) - a
    numerator = np.polynomial.polynomial.polyval3d(u, a, b, _BETA_NUMERATOR)
    denominator = np.polynomial.polynomial.polyval3d(u, a, b, _BETA_DENOMINATOR)
    return numerator / denominator * (x * difference / (total - alpha))


# Bernoulli numbers B2k over 2k
_TAIL = (1 / 12, -1 / 120, 1 / 252, -1 / 240, 1 / 132, -691 / 32760, 1 / 12)


def _digamma(x):
    """Of positive numbers, rounded as PyTorch's: differences of it lose digits in float32."""
    kind = x.dtype
    result = np.zeros(x.shape)
    for _ in range(10):
        small = x < 10
        result = np.where(small, result - 1 / x, result)
        x = np.where(small, x + 1, x)
    inverse = 1 / (x * x).astype(np.float64)
    tail = inverse * np.polynomial.polynomial.polyval(inverse, _TAIL)
    return (result + np.log(x) - kind.type(0.5) / x - tail).astype(kind)
