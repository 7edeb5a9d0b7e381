"""Factors of matrices: they multiply back, are what they are called, and have right gradients."""

import numpy as np
import pytest

from tests.support.compare import to_array
from tests.support.derivatives import check_derivatives
from tests.support.package import package

SHAPES = [(4, 3), (3, 4), (3, 3), (2, 4, 3)]


def matrix(*shape):
    return np.random.default_rng(sum(shape)).normal(size=shape)


def symmetric(*shape):
    root = matrix(*shape)
    return root + np.swapaxes(root, -1, -2)


def transposed(array):
    return np.swapaxes(array, -1, -2)


def assert_orthonormal(columns):
    identity = np.broadcast_to(
        np.eye(columns.shape[-1]), (*columns.shape[:-2],) + (columns.shape[-1],) * 2
    )
    np.testing.assert_allclose(transposed(columns) @ columns, identity, atol=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("full", [True, False])
def test_svd(shape, full):
    A = matrix(*shape)
    found = package.linalg.svd(package.tensor(A), full_matrices=full)
    U, S, Vh = (to_array(part) for part in found)
    size = S.shape[-1]
    np.testing.assert_allclose(U[..., :size] * S[..., None, :] @ Vh[..., :size, :], A, atol=1e-12)
    np.testing.assert_allclose(S, np.linalg.svd(A, compute_uv=False), atol=1e-12)
    assert_orthonormal(U)
    assert_orthonormal(transposed(Vh))
    assert (found.U, found.S, found.Vh) == tuple(found)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("mode", ["reduced", "complete"])
def test_qr(shape, mode):
    A = matrix(*shape)
    Q, R = (to_array(part) for part in package.linalg.qr(package.tensor(A), mode))
    np.testing.assert_allclose(Q @ R, A, atol=1e-12)
    np.testing.assert_array_equal(R, np.triu(R))
    assert_orthonormal(Q)


@pytest.mark.parametrize("half", ["L", "U"])
def test_eigh(half):
    A = symmetric(2, 4, 4)
    spoiled = np.tril(A) if half == "L" else np.triu(A)
    values, vectors = (
        to_array(part) for part in package.linalg.eigh(package.tensor(spoiled), half)
    )
    np.testing.assert_allclose(vectors * values[..., None, :] @ transposed(vectors), A, atol=1e-12)
    assert_orthonormal(vectors)
    assert (np.diff(values) > 0).all()


@pytest.mark.parametrize("shape", [(4, 3), (3, 4), (3, 3)])
def test_gradients_of_svd(shape):
    def free_of_signs(A):
        U, S, Vh = package.linalg.svd(A, full_matrices=False)
        return U * U, S, Vh * Vh

    check_derivatives(package, free_of_signs, [matrix(*shape)], 2)


def test_gradients_of_qr():
    def free_of_signs(A):
        Q, R = package.linalg.qr(A)
        return Q * Q, R * R

    check_derivatives(package, free_of_signs, [matrix(4, 3)], 2)


def test_gradients_of_eigh():
    def free_of_signs(A):
        values, vectors = package.linalg.eigh((A + A.mT) / 2)
        return values, vectors * vectors

    check_derivatives(package, free_of_signs, [matrix(3, 3)], 2)


def test_gradients_of_cholesky():
    def factor(A):
        return package.linalg.cholesky(A @ A.mT + 3 * package.eye(3, dtype=A.dtype))

    check_derivatives(package, factor, [matrix(3, 3)], 2)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("inv", "linalg.inv: The diagonal element 2 is zero, the inversion could not be completed"),
        ("cholesky", "(the leading minor of order 2 is not positive-definite)"),
    ],
)
def test_singular_matrices(name, text):
    with pytest.raises(RuntimeError) as caught:
        to_array(getattr(package.linalg, name)(package.ones(2, 2)))
    assert isinstance(caught.value, package.linalg.LinAlgError)
    assert text in str(caught.value)


def test_singular_systems():
    with pytest.raises(package.linalg.LinAlgError, match="The solver failed because the input"):
        to_array(package.linalg.solve(package.ones(2, 2), package.ones(2, 1)))


def test_eig():
    A = matrix(4, 4)
    values, vectors = (to_array(part) for part in package.linalg.eig(package.tensor(A)))
    np.testing.assert_allclose(A @ vectors, vectors * values, atol=1e-12)
    found = to_array(package.linalg.eigvals(package.tensor(A)))
    np.testing.assert_allclose(np.sort_complex(found), np.sort_complex(values), atol=1e-12)


def test_lu():
    A, B = matrix(4, 4), matrix(4, 2)
    factors, pivots = package.linalg.lu_factor(package.tensor(A))
    P, L, U = (to_array(part) for part in package.lu_unpack(factors, pivots))
    np.testing.assert_allclose(P @ L @ U, A, atol=1e-12)
    solved = package.linalg.lu_solve(factors, pivots, package.tensor(B))
    np.testing.assert_allclose(A @ to_array(solved), B, atol=1e-12)


def test_ldl():
    A, B = symmetric(4, 4), matrix(4, 2)
    factors, pivots = package.linalg.ldl_factor(package.tensor(A))
    solved = package.linalg.ldl_solve(factors, pivots, package.tensor(B))
    np.testing.assert_allclose(A @ to_array(solved), B, atol=1e-11)
    assert to_array(package.linalg.ldl_factor_ex(package.tensor(A))[2]) == 0


def test_householder_reflections():
    A = matrix(4, 3)
    reflections, scales = package.geqrf(package.tensor(A))
    R = np.triu(to_array(reflections)[:3])
    for make in (package.linalg.householder_product, package.orgqr):
        Q = to_array(make(reflections, scales))
        np.testing.assert_allclose(Q @ R, A, atol=1e-12)
    whole = to_array(package.ormqr(reflections, scales, package.eye(4, dtype=reflections.dtype)))
    np.testing.assert_allclose(whole[:, :3] @ R, A, atol=1e-12)


@pytest.mark.filterwarnings("ignore:torch.* is deprecated:UserWarning")
def test_old_names():
    A, B, square = matrix(4, 3), matrix(4, 2), matrix(4, 4)
    Q, R = package.qr(package.tensor(A))
    np.testing.assert_allclose(to_array(Q) @ to_array(R), A, atol=1e-12)
    U, S, V = package.svd(package.tensor(A))
    np.testing.assert_allclose(to_array(U) * to_array(S) @ to_array(V).T, A, atol=1e-12)
    solved = package.lu_solve(package.tensor(B), *package.lu(package.tensor(square)))
    np.testing.assert_allclose(square @ to_array(solved), B, atol=1e-12)
