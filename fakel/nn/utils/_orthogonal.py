"""The parametrization of matrices with orthonormal columns or rows."""

from fakel import ops
from fakel.autograd import no_grad
from fakel.nn.modules.module import Module
from fakel.nn.utils.parametrize import register_parametrization
from fakel.ops.linalg_qr import householder_product
from fakel.ops.linalg_solve import solve
from fakel.tensor import Tensor, finfo

MAPS = ("matrix_exp", "cayley", "householder")


def _is_orthogonal(matrix):
    rows, columns = matrix.shape[-2:]
    identity = ops.eye(columns, dtype=matrix.dtype)
    return ops.allclose(matrix.mH @ matrix, identity, atol=10.0 * rows * finfo(matrix.dtype).eps)


def _orthogonalised(matrix):
    """Q of a tall matrix's factors Q R, with a diagonal of R that is not negative."""
    reflectors, tau = ops.geqrf(matrix)
    signs = reflectors.diagonal(dim1=-2, dim2=-1).sgn()
    return householder_product(reflectors, tau) * signs.unsqueeze(-2)


class _Orthogonal(Module):
    """weight = B map(X): an orthogonal matrix made of any matrix X, times a fixed one."""

    def __init__(self, weight, orthogonal_map, *, use_trivialization=True):
        super().__init__()
        if weight.is_complex() and orthogonal_map == "householder":
            raise ValueError("The householder parametrization does not support complex tensors.")
        self.shape = weight.shape
        self.orthogonal_map = orthogonal_map
        if use_trivialization:
            self.register_buffer("base", None)

    def forward(self, X):
        wide = X.size(-2) < X.size(-1)
        tall = X.mT if wide else X
        make = self._reflected if self.orthogonal_map == "householder" else self._rotated
        matrix = make(tall)
        if hasattr(self, "base"):
            matrix = self.base @ matrix
        return matrix.mT if wide else matrix

    @staticmethod
    def _reflected(tall):
        """The product of the reflections whose vectors lie below the diagonal."""
        vectors = tall.tril(diagonal=-1)
        tau = 2.0 / (1.0 + (vectors * vectors).sum(dim=-2))
        signs = tall.diagonal(dim1=-2, dim2=-1).int().unsqueeze(-2)
        return householder_product(vectors, tau) * signs

    def _rotated(self, tall):
        """The exponential, or Cayley's map, of a skew-symmetric matrix."""
        rows, columns = tall.shape[-2:]
        lower = tall.tril()
        if rows != columns:
            zeros = lower.new_zeros(rows, rows - columns)
            lower = ops.cat([lower, zeros.expand(*tall.shape[:-2], -1, -1)], dim=-1)
        skew = lower - lower.mH
        if self.orthogonal_map == "matrix_exp":
            return ops.matrix_exp(skew)[..., :columns]
        identity = ops.eye(rows, dtype=skew.dtype)
        halves = ops.add(identity, skew, alpha=-0.5), ops.add(identity, skew, alpha=0.5)
        return solve(*halves)[..., :columns]

    @no_grad()
    def right_inverse(self, Q):
        if Q.shape != self.shape:
            raise ValueError(
                f"Expected a matrix or batch of matrices of shape {self.shape}. "
                f"Got a tensor of shape {Q.shape}."
            )
        wide = Q.size(-2) < Q.size(-1)
        tall = Q.mT if wide else Q
        if not hasattr(self, "base"):
            if self.orthogonal_map != "householder":
                raise NotImplementedError(
                    "It is not possible to assign to the matrix exponential or the Cayley "
                    "parametrizations when use_trivialization=False."
                )
            vectors, tau = ops.geqrf(tall)
            diagonal = vectors.diagonal(dim1=-2, dim2=-1)
            diagonal.sign_()
            diagonal[tau == 0.0] *= -1  # where LAPACK used no reflection
            return vectors.mT if wide else vectors
        rows, columns = tall.shape[-2:]
        if rows != columns:  # completed to a square one
            others = ops.randn(*tall.shape[:-2], rows, rows - columns, dtype=tall.dtype)
            tall = _orthogonalised(ops.cat([tall, others], dim=-1))
        else:
            tall = tall.clone() if _is_orthogonal(tall) else _orthogonalised(tall)
        self.base = tall
        # every map makes the identity of this one
        opposite = ops.zeros_like(Q)
        opposite.diagonal(dim1=-2, dim2=-1).fill_(-1.0)
        return opposite


def orthogonal(module, name="weight", orthogonal_map=None, *, use_trivialization=True):
    """Keep a matrix orthogonal, or unitary: ``Qᴴ Q = 1`` (``Q Qᴴ = 1`` where it is wide).

    Q is the exponential of a skew-symmetric matrix A, Cayley's ``(1 + A/2)(1 - A/2)⁻¹``, or a
    product of Householder's reflections; M. Lezcano-Casado, arXiv:1909.09501.

    Args:
        module: the module, changed in place and returned.
        name: the name of the parameter, of shape (..., m, n).
        orthogonal_map: "matrix_exp", "cayley" or "householder"; by default the exponential for
            square and complex matrices, else reflections.
        use_trivialization: multiplies by a fixed matrix, so that training starts at the identity.

    Raises:
        ValueError: for a missing parameter, a vector, another map.
    """
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ValueError(f"Module '{module}' has no parameter or buffer with name '{name}'")
    if weight.ndim < 2:
        raise ValueError(
            f"Expected a matrix or batch of matrices. Got a tensor of {weight.ndim} dimensions."
        )
    if orthogonal_map is None:
        square = weight.size(-2) == weight.size(-1)
        orthogonal_map = "matrix_exp" if square or weight.is_complex() else "householder"
    if orthogonal_map not in MAPS:
        raise ValueError(
            'orthogonal_map has to be one of "matrix_exp", "cayley", "householder". '
            f"Got: {orthogonal_map}"
        )
    made = _Orthogonal(weight, orthogonal_map, use_trivialization=use_trivialization)
    register_parametrization(module, name, made, unsafe=True)
    return module
