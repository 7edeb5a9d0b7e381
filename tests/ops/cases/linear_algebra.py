"""Products of matrices and what is made of them."""

import numpy as np

from tests.support.case import case, floats, mistake

NUMBERS = {
    "dtypes": ("float32", "float64", "int64", "int32", "uint8", "complex64", "float16", "bfloat16")
}
PLAIN = {"gradient": 0}


def definite(*shape):
    return floats(*shape, domain="definite")


LOOSE = {"tolerance": 10}

CASES = [
    case("linalg.pinv", floats(4, 3), numpy=np.linalg.pinv, options=LOOSE),
    case("linalg.pinv", floats(2, 3, 4), numpy=np.linalg.pinv, options=LOOSE),
    case("linalg.svdvals", floats(4, 3), options=LOOSE),
    case(
        "linalg.eigvalsh",
        definite(3, 3),
        numpy=np.linalg.eigvalsh,
        options={"tolerance": 10, "gradient": None},
    ),
    case("linalg.vecdot", floats(3, 4), floats(3, 4)),
    case(
        "linalg.matrix_norm", floats(2, 3, 4, domain="distinct"), "nuc", keepdim=True, options=LOOSE
    ),
    case("linalg.matrix_norm", floats(2, 3, 4, domain="distinct"), float("inf"), options=LOOSE),
    case("linalg.matrix_norm", floats(2, 3, 4), 2, (0, 1), options=LOOSE),
    case("linalg.norm", floats(3, 4), 2, options=LOOSE),
    case("linalg.norm", floats(3, 4), dim=1, keepdim=True),
    case("linalg.solve", definite(2, 3, 3), floats(2, 3), options=LOOSE),
    case("linalg.solve", definite(3, 3), floats(2, 3), left=False, options=LOOSE),
    case("linalg.matrix_power", definite(3, 3), -2, options=LOOSE),
    case("linalg.matrix_power", floats(3, 3), 0, options={"gradient": None}),
    case(
        "linalg.cholesky",
        definite(2, 3, 3),
        upper=True,
        options={"tolerance": 10, "gradient": None},
    ),
    case("matmul", floats(3, 4), floats(4, 5), numpy=np.matmul, options=NUMBERS),
    case("matmul", floats(4), floats(4), numpy=np.matmul),
    case("matmul", floats(3, 4), floats(4), numpy=np.matmul),
    case("matmul", floats(4), floats(4, 5), numpy=np.matmul),
    case("matmul", floats(2, 3, 4), floats(4, 5), numpy=np.matmul),
    case("matmul", floats(2, 3, 4), floats(2, 4, 5), numpy=np.matmul),
    case("matmul", floats(2, 1, 3, 4), floats(3, 4, 5), numpy=np.matmul),
    case("matmul", floats(2, 3, 4), floats(4), numpy=np.matmul),
    case("matmul", floats(4), floats(2, 4, 3), numpy=np.matmul),
    case("matmul", floats(3, 0), floats(0, 4), numpy=np.matmul),
    case("matmul", floats(0, 3), floats(3, 4), numpy=np.matmul),
    case("mm", floats(3, 4), floats(4, 5), numpy=np.matmul, options=NUMBERS),
    case("mv", floats(3, 4), floats(4), numpy=np.matmul),
    case("dot", floats(4), floats(4), numpy=np.dot, options=NUMBERS),
    case("vdot", floats(4), floats(4), numpy=np.vdot),
    case("inner", floats(2, 3), floats(4, 3), numpy=np.inner),
    case("outer", floats(3), floats(4), numpy=np.outer, options=NUMBERS),
    case("kron", floats(2, 3), floats(2, 2), numpy=np.kron),
    case("bmm", floats(2, 3, 4), floats(2, 4, 5), numpy=np.matmul, options=NUMBERS),
    case("bmm", floats(0, 3, 4), floats(0, 4, 5), numpy=np.matmul),
    case("addmm", floats(3, 5), floats(3, 4), floats(4, 5), numpy=lambda c, a, b: c + a @ b),
    case("addmm", floats(5), floats(3, 4), floats(4, 5), beta=0.5, alpha=2),
    case("addmv", floats(3), floats(3, 4), floats(4), beta=0.5, alpha=2),
    case("addr", floats(3, 4), floats(3), floats(4), beta=0.5, alpha=2),
    case("baddbmm", floats(2, 3, 5), floats(2, 3, 4), floats(2, 4, 5), beta=0.5, alpha=2),
    case("addbmm", floats(3, 5), floats(2, 3, 4), floats(2, 4, 5)),
    case("linalg.multi_dot", [floats(2, 3), floats(3, 4), floats(4, 2)]),
    case("tensordot", floats(2, 3, 4), floats(3, 4, 5), 2, options={"method": False}),
    case(
        "tensordot",
        floats(2, 3, 4),
        floats(4, 3, 5),
        dims=([1, 2], [1, 0]),
        options={"method": False},
    ),
    case("einsum", "ij,jk->ik", floats(2, 3), floats(3, 4), numpy=np.einsum),
    case("einsum", "bij,bjk->bik", floats(2, 2, 3), floats(2, 3, 4), numpy=np.einsum),
    case("einsum", "ij->ji", floats(2, 3), numpy=np.einsum),
    case("einsum", "ii->i", floats(3, 3), numpy=np.einsum),
    case("einsum", "ii", floats(3, 3), numpy=np.einsum),
    case("einsum", "i,j", floats(3), floats(4), numpy=np.einsum),
    case("einsum", "bhqd,bhkd->bhqk", floats(1, 2, 3, 4), floats(1, 2, 5, 4), numpy=np.einsum),
    case("einsum", "...ij,...jk->...ik", floats(2, 2, 3), floats(3, 4), numpy=np.einsum),
    case("einsum", "ij,ij,ij->", floats(2, 3), floats(2, 3), floats(2, 3), numpy=np.einsum),
    case("einsum", "ij,jk", [floats(2, 3), floats(3, 4)]),
    case("trace", floats(3, 4), numpy=np.trace),
    case("cross", floats(2, 3), floats(2, 3), dim=1, numpy=lambda a, b, dim: np.cross(a, b)),
    case("linalg.cross", floats(2, 3), floats(2, 3)),
    case("cdist", floats(3, 4), floats(5, 4), options={"gradient": 1, "tolerance": 10}),
    case("cdist", floats(2, 3, 4), floats(2, 5, 4), p=1.0, options={"gradient": 1}),
    case("cosine_similarity", floats(3, 4), floats(3, 4), options={"method": False}),
    case("det", floats(3, 3), numpy=np.linalg.det, options={"tolerance": 10}),
    case("linalg.det", floats(2, 3, 3), numpy=np.linalg.det, options={"tolerance": 10}),
    case("logdet", definite(3, 3), options={"tolerance": 10}),
    case("slogdet", definite(3, 3), options={"tolerance": 10}),
    case("linalg.slogdet", definite(3, 3), options={"tolerance": 10}),
    case("inverse", definite(3, 3), numpy=np.linalg.inv, options={"tolerance": 10}),
    case("linalg.inv", definite(2, 3, 3), numpy=np.linalg.inv, options={"tolerance": 10}),
    case(
        "linalg.solve",
        definite(3, 3),
        floats(3, 2),
        numpy=np.linalg.solve,
        options={"tolerance": 10},
    ),
    case(
        "linalg.cholesky",
        definite(3, 3),
        numpy=np.linalg.cholesky,
        options={"tolerance": 10, "gradient": None},
    ),
    case("matrix_power", floats(3, 3), 3, numpy=np.linalg.matrix_power),
    case("linalg.matrix_power", floats(3, 3), 2, numpy=np.linalg.matrix_power),
    case(
        "pinverse", floats(4, 3), numpy=np.linalg.pinv, options={"tolerance": 10, "method": False}
    ),
]

MISTAKES = [
    mistake(
        RuntimeError,
        "linalg.inv: A must be batches of square matrices, but they are 2 by 3 matrices",
        "linalg.inv",
        floats(2, 3),
    ),
    mistake(
        RuntimeError,
        "linalg.det: The input tensor A must have at least 2 dimensions.",
        "det",
        floats(3),
    ),
    mistake(
        RuntimeError,
        "linalg.solve: Incompatible shapes of A and B for the equation AX = B (2x2 and 3x1)",
        "linalg.solve",
        definite(2, 2),
        floats(3),
    ),
    mistake(
        RuntimeError,
        "linalg.matrix_norm: Order x not supported.",
        "linalg.matrix_norm",
        floats(2, 2),
        "x",
    ),
    mistake(
        RuntimeError,
        "X1 and X2 must have the same number of columns. X1: 3 X2: 4",
        "cdist",
        floats(2, 3),
        floats(2, 4),
    ),
    mistake(
        RuntimeError,
        "mat1 and mat2 shapes cannot be multiplied (2x3 and 2x3)",
        "matmul",
        floats(2, 3),
        floats(2, 3),
    ),
    mistake(
        RuntimeError,
        "mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)",
        "mm",
        floats(2, 3),
        floats(4, 5),
    ),
    mistake(RuntimeError, "self must be a matrix", "mm", floats(3), floats(3, 2)),
    mistake(
        RuntimeError,
        "size mismatch, got input (2), mat (2x3), vec (2)",
        "matmul",
        floats(2, 3),
        floats(2),
    ),
    mistake(
        RuntimeError,
        "inconsistent tensor size, expected tensor [2] and src [3] to have the same number of elements, but got 2 and 3 elements respectively",
        "dot",
        floats(2),
        floats(3),
    ),
    mistake(
        RuntimeError,
        "1D tensors expected, but got 2D and 1D tensors",
        "dot",
        floats(2, 2),
        floats(3),
    ),
    mistake(RuntimeError, "batch1 must be a 3D tensor", "bmm", floats(2, 3), floats(2, 3, 4)),
    mistake(
        RuntimeError,
        "Expected size for first two dimensions of batch2 tensor to be: [2, 4] but got: [2, 5].",
        "bmm",
        floats(2, 3, 4),
        floats(2, 5, 4),
    ),
    mistake(
        RuntimeError,
        "expected m1 and m2 to have the same dtype, but got: float != double",
        "mm",
        floats(2, 2),
        floats(2, 2, dtype="float64"),
    ),
    mistake(
        RuntimeError,
        "both arguments to matmul need to be at least 1D, but they are 0D and 1D",
        "matmul",
        floats(),
        floats(3),
    ),
    mistake(
        RuntimeError,
        "einsum(): the number of subscripts in the equation (1) does not match the number of dimensions (2) for operand 0 and no ellipsis was given",
        "einsum",
        "i->i",
        floats(2, 3),
    ),
]

ELSEWHERE = dict.fromkeys(
    ("linalg.eigh", "linalg.qr", "linalg.svd"),
    "signs of the factors are free; tests/ops/test_decomposition.py multiplies them back",
)
