"""Linear algebra against PyTorch: gradients of complex factors, large and singular matrices,
errors.
"""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.compare import to_array
from tests.support.derivatives import check_derivatives
from tests.support.package import package

SHAPES = [(3, 3), (4, 3), (3, 4), (2, 3, 3)]


def drawn(*shape, seed=0, dtype="complex128"):
    random = np.random.default_rng([seed, *shape])
    array = random.normal(size=shape)
    if dtype.startswith("complex"):
        array = array + 1j * random.normal(size=shape)
    return array.astype(dtype)


def adjoint(x):
    return x.transpose(-2, -1).conj()


def plus_identity(module, x):
    return x @ adjoint(x) + module.eye(x.shape[-1], dtype=x.dtype)


def size(x):
    """|x|^2, which does not depend on the phases that factors are free to choose."""
    return (x * x.conj()).real


def svd(module, x):
    u, s, vh = module.linalg.svd(x, full_matrices=False)
    return [size(u), s, size(vh), (u * s.to(u.dtype).unsqueeze(-2)) @ vh]


def full_svd(module, x):
    u, s, vh = module.linalg.svd(x)
    k = s.shape[-1]
    return [size(u[..., :k]), s, size(vh[..., :k, :])]


def qr(module, x):
    return list(module.linalg.qr(x))


def eigh(module, x):
    values, vectors = module.linalg.eigh(x + adjoint(x))
    return [values, size(vectors)]


def eig(module, x):
    values, vectors = module.linalg.eig(x)
    return [size(values), size(vectors)]


def lu(module, x):
    factors, pivots = module.linalg.lu_factor(x)
    return [factors, *module.linalg.lu(x), *module.lu_unpack(factors, pivots)]


def lu_solve(module, x):
    factors, pivots = module.linalg.lu_factor(x)
    right = x[..., :2]
    return [
        module.linalg.lu_solve(factors, pivots, right),
        module.linalg.lu_solve(factors, pivots, right, adjoint=True),
        module.linalg.lu_solve(factors, pivots, x, left=False),
    ]


def cholesky(module, x):
    a = plus_identity(module, x)
    return [module.linalg.cholesky(a), module.linalg.cholesky(a, upper=True)]


def with_cholesky(module, x):
    factor = module.linalg.cholesky(plus_identity(module, x))
    return [
        module.cholesky_inverse(factor),
        module.cholesky_inverse(adjoint(factor), upper=True),
        module.cholesky_solve(x, factor),
        module.cholesky_solve(x, adjoint(factor), upper=True),
    ]


def determinants(module, x):
    sign, logarithm = module.linalg.slogdet(x)
    return [module.linalg.det(x), sign, logarithm, module.logdet(plus_identity(module, x)).real]


def systems(module, x):
    return [
        module.linalg.inv(x),
        module.linalg.solve(x, x[..., 0]),
        module.linalg.solve(x, x[..., :2, :], left=False),
        module.linalg.solve_triangular(x, x[..., :2], upper=True),
        module.linalg.solve_triangular(x, x, upper=False, left=False, unitriangular=True),
        module.triangular_solve(x, x, upper=False, transpose=True)[0],
    ]


def inverses(module, x):
    return [
        module.linalg.pinv(x),
        module.linalg.lstsq(x, x[..., :2])[0],
        module.linalg.svdvals(x),
    ]


def powers(module, x):
    return [
        module.linalg.matrix_exp(x),
        module.linalg.matrix_exp(3 * x),
        module.linalg.matrix_power(x, 5),
        module.linalg.matrix_power(x, -2),
    ]


def norms(module, x):
    orders = ("fro", "nuc", 2, -2, 1, -1, float("inf"), -float("inf"))
    found = [module.linalg.matrix_norm(x, order, keepdim=True) for order in orders]
    return [*found, module.linalg.cond(x), module.linalg.vecdot(x, x[..., :1, :])]


def reflections(module, x):
    scales = x[..., 0, : min(x.shape[-2:])] * 0.3
    tall = x if x.shape[-2] >= x.shape[-1] else adjoint(x)
    return [
        module.linalg.householder_product(tall, scales),
        module.ormqr(tall, scales, tall),
        module.ormqr(tall, scales, adjoint(tall), False, True),
    ]


SQUARE = [eigh, eig, lu_solve, cholesky, with_cholesky, determinants, systems, powers]
ANY = [svd, full_svd, qr, lu, inverses, norms, reflections]
RUNS = [
    *((function, shape) for function in SQUARE for shape in [(3, 3), (2, 3, 3)]),
    *((function, shape) for function in ANY for shape in SHAPES),
]


def values_and_gradient(module, function, array):
    x = module.from_numpy(array.copy()).requires_grad_()
    found = function(module, x)
    total = 0
    for place, part in enumerate(found):
        if part.requires_grad:
            weights = np.cos(np.arange(part.numel()) + place).reshape(tuple(part.shape))
            if part.is_complex():
                weights = weights * np.exp(1j * np.arange(part.numel())).reshape(weights.shape)
            total = total + (part * module.from_numpy(np.asarray(weights))).real.sum()
    total.backward()
    return found, x.grad


@pytest.mark.filterwarnings("ignore:torch.triangular_solve is deprecated:UserWarning")
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize(
    ("function", "shape"), RUNS, ids=[f"{f.__name__}-{'x'.join(map(str, s))}" for f, s in RUNS]
)
def test_values_and_gradients(function, shape, dtype, torch):
    array = drawn(*shape, dtype=dtype)
    expected, expected_gradient = values_and_gradient(torch, function, array)
    found, gradient = values_and_gradient(package, function, array)
    for ours, theirs in zip(found, expected, strict=True):
        assert str(ours.dtype) == str(theirs.dtype)
        ours, theirs = to_array(ours), to_array(theirs)
        if function is eig:
            ours, theirs = np.sort(ours, -1), np.sort(theirs, -1)
        np.testing.assert_allclose(ours, theirs, rtol=1e-8, atol=1e-8)
    if function is not eig:
        np.testing.assert_allclose(
            to_array(gradient), to_array(expected_gradient), rtol=1e-7, atol=1e-7
        )


@pytest.mark.parametrize(
    "function",
    [lu, lu_solve, cholesky, determinants, powers, inverses, reflections],
    ids=lambda function: function.__name__,
)
def test_second_derivatives(function):
    check_derivatives(
        package,
        lambda x: [part for part in function(package, x) if part.requires_grad],
        [drawn(3, 3, dtype="float64") + 2 * np.eye(3)],
        2,
    )


def test_gradient_of_eigenvalues():
    """Values in a definite order have the gradients that differences give."""

    def ordered(x):
        values = package.linalg.eigvals(x)
        return (values * values * values).sum(-1).real

    check_derivatives(package, ordered, [drawn(4, 4, dtype="float64")], 2)


def test_second_derivative_of_eigenvalues_by_one_triangle_is_pytorchs(torch):
    found = []
    for module in (torch, package):
        x = module.from_numpy(drawn(4, 4, dtype="float64")).requires_grad_()
        weights = module.from_numpy(drawn(4, 4, seed=1, dtype="float64"))
        (slope,) = module.autograd.grad(
            (module.linalg.eigvalsh(x) * weights[0]).sum(), x, create_graph=True
        )
        (slope * weights).sum().backward()
        found.append(x.grad.numpy())
    np.testing.assert_allclose(found[1], found[0], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("svd_lowrank", {"q": 4}),
        ("svd_lowrank", {"niter": 0}),
        ("pca_lowrank", {"q": 3}),
        ("pca_lowrank", {"center": False}),
    ],
)
@pytest.mark.parametrize("shape", [(9, 7), (3, 7, 9)])
def test_low_rank_decompositions_are_pytorchs(name, options, shape, torch):
    matrices = drawn(*shape[:-1], 4, dtype="float64") @ drawn(
        *shape[:-2], 4, shape[-1], seed=1, dtype="float64"
    )
    found = []
    for module in (torch, package):
        module.manual_seed(3)
        u, s, v = getattr(module, name)(module.from_numpy(matrices), **options)
        found.append([s, (u * s.unsqueeze(-2)) @ v.mT])
    for ours, theirs in zip(found[1], found[0]):
        np.testing.assert_allclose(to_array(ours), to_array(theirs), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("shape", [(70, 70), (90, 40), (40, 90), (2, 33, 33)])
@pytest.mark.parametrize("dtype", ["float32", "complex128"])
def test_large_lu_factors_are_pytorchs(shape, dtype, torch):
    array = drawn(*shape, dtype=dtype)
    expected = torch.linalg.lu_factor_ex(torch.from_numpy(array))
    found = package.linalg.lu_factor_ex(package.from_numpy(array))
    tolerance = 1e-3 if dtype == "float32" else 1e-10
    np.testing.assert_array_equal(to_array(found.pivots), to_array(expected.pivots))
    np.testing.assert_allclose(
        to_array(found.LU), to_array(expected.LU), rtol=tolerance, atol=tolerance
    )


@pytest.mark.parametrize("upper", [False, True])
@pytest.mark.parametrize("unitriangular", [False, True])
def test_large_triangular_systems(upper, unitriangular):
    A = drawn(100, 100, dtype="float64") * 0.1 + 2 * np.eye(100)
    B = drawn(100, 3, dtype="float64")
    triangle = np.triu(A) if upper else np.tril(A)
    if unitriangular:
        np.fill_diagonal(triangle, 1)
    solved = package.linalg.solve_triangular(
        package.from_numpy(A), package.from_numpy(B), upper=upper, unitriangular=unitriangular
    )
    np.testing.assert_allclose(triangle @ to_array(solved), B, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("hermitian", [False, True])
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_ldl_factors_are_pytorchs(dtype, hermitian, torch):
    for seed in range(6):
        root = drawn(3, 7, 7, seed=seed, dtype=dtype)
        turned = np.swapaxes(root, -2, -1)
        array = root + (turned.conj() if hermitian else turned)
        array[:, 0, 0] = 0
        right = drawn(3, 7, 2, seed=seed, dtype=dtype)
        answers = []
        for module in (torch, package):
            factors, pivots = module.linalg.ldl_factor(
                module.from_numpy(array), hermitian=hermitian
            )
            solved = module.linalg.ldl_solve(
                factors, pivots, module.from_numpy(right), hermitian=hermitian
            )
            answers.append([to_array(part) for part in (factors, pivots, solved)])
        for theirs, ours in zip(*answers, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-8, atol=1e-8)


def test_singular_matrices_of_a_batch_are_named():
    batch = np.stack([np.eye(3), np.ones((3, 3)), np.eye(3)])
    tensor = package.from_numpy(batch)
    with pytest.raises(package.linalg.LinAlgError, match=r"\(Batch element 1\)"):
        package.linalg.inv(tensor)
    inverse, info = package.linalg.inv_ex(tensor)
    np.testing.assert_array_equal(to_array(info), [0, 2, 0])
    np.testing.assert_array_equal(to_array(inverse)[0], np.eye(3))
    factor, info = package.linalg.cholesky_ex(tensor)
    np.testing.assert_array_equal(to_array(info), [0, 2, 0])
    np.testing.assert_array_equal(to_array(factor)[2], np.eye(3))
    result, info = package.linalg.solve_ex(tensor, package.ones(3, 3, 1, dtype=package.float64))
    np.testing.assert_array_equal(to_array(info), [0, 2, 0])
    np.testing.assert_array_equal(to_array(result)[0], np.ones((3, 1)))


def test_errors_come_from_the_failing_line():
    """A factorisation that fails can be caught and tried again."""
    matrix = package.ones(3, 3)
    for _ in range(3):
        try:
            package.linalg.cholesky(matrix)
        except package.linalg.LinAlgError:
            matrix = matrix + 0.1 * package.eye(3)
        else:
            break
    np.testing.assert_allclose(to_array(matrix), np.ones((3, 3)) + 0.1 * np.eye(3), rtol=1e-6)


def test_gradient_of_the_determinant_of_a_singular_matrix():
    # the cofactors, which PyTorch loses when elimination meets an exact zero
    array = drawn(3, 3, dtype="float64")
    array[2] = array[0] + array[1]
    x = package.from_numpy(array.copy()).requires_grad_()
    package.linalg.det(x).backward()
    cofactors = np.empty((3, 3))
    for row, column in np.ndindex(3, 3):
        minor = np.delete(np.delete(array, row, 0), column, 1)
        cofactors[row, column] = (-1) ** (row + column) * np.linalg.det(minor)
    np.testing.assert_allclose(to_array(x.grad), cofactors, rtol=1e-6, atol=1e-8)


def test_least_squares_returns_what_the_driver_does(torch):
    A, B = drawn(5, 3, dtype="float64"), drawn(5, 2, dtype="float64")
    flat = np.ones((5, 3))
    for driver in (None, "gels", "gelsy", "gelsd", "gelss"):
        for matrix in (A, flat, A.T @ A):
            if driver == "gels" and matrix is flat:
                continue
            right = B[: len(matrix)]
            expected, found = (
                module.linalg.lstsq(
                    module.from_numpy(matrix), module.from_numpy(right), driver=driver
                )
                for module in (torch, package)
            )
            for ours, theirs in zip(found, expected, strict=True):
                assert tuple(ours.shape) == tuple(theirs.shape)
                assert str(ours.dtype) == str(theirs.dtype)
                np.testing.assert_allclose(to_array(ours), to_array(theirs), atol=1e-9)


MISTAKES = [
    ("inv", (np.ones((3, 3), np.float16),), "linalg.inv: Low precision dtypes not supported."),
    ("inv", (np.ones((3, 3), np.int64),), "linalg.inv: Expected a floating point or complex"),
    ("solve", (np.eye(3), np.ones((2, 3))), "equation AX = B (3x3 and 2x3)"),
    ("solve", (np.eye(3), np.ones(3, np.float32)), "found A of type Double and B of type Float"),
    ("qr", (np.eye(3), "half"), "qr received unrecognized mode 'half'"),
    ("eigh", (np.eye(3), "X"), "Expected UPLO argument to be 'L' or 'U', but got X"),
    ("lu_factor", (np.zeros((2, 2)),), "U[1,1] is zero and using it on lu_solve"),
    ("svd", (np.full((2, 2), np.nan),), "the input matrix contained non-finite values."),
    ("cond", (np.eye(3), "foo"), "linalg.cond got an invalid norm type: foo"),
    ("matrix_norm", (np.eye(3), 3), "linalg.matrix_norm: Order 3 not supported."),
    ("multi_dot", ([np.eye(3)],), "multi_dot(): expected at least 2 tensors but got 1"),
    ("cross", (np.ones(4), np.ones(4)), "inputs dimension -1 must have length 3. Got 4 and 4"),
    ("lstsq", (np.ones(3), np.ones(3)), "linalg.lstsq: input must have at least 2 dimensions."),
    ("tensorinv", (np.ones((2, 2)), 0), "Expected a strictly positive integer for 'ind'"),
    ("vander", (np.ones(1),), "N must be greater than 1."),
    ("householder_product", (np.ones((2, 3)), np.ones(2)), "must be greater than or equal to"),
    ("matrix_exp", (np.ones((2, 3)),), "A must be batches of square matrices"),
]


@pytest.mark.parametrize(("name", "arguments", "text"), MISTAKES)
def test_mistakes_raise_pytorchs_errors(name, arguments, text, torch):
    def build(module, value):
        if isinstance(value, list):
            return [build(module, part) for part in value]
        return module.from_numpy(value) if isinstance(value, np.ndarray) else value

    raised = []
    for module in (torch, package):
        with pytest.raises(RuntimeError) as caught:
            getattr(module.linalg, name)(*(build(module, value) for value in arguments))
        raised.append((type(caught.value).__name__, str(caught.value).splitlines()[0]))
    assert text in raised[0][1]
    assert raised[1] == raised[0]
