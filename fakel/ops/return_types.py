"""``torch.return_types``: the named tuples that operators with several results return."""

from __future__ import annotations

from collections.abc import Iterable
from operator import itemgetter
from typing import Any


class _Structure(tuple[Any, ...]):
    """A tuple with named fields that is made from a sequence and prints one field a line."""

    __slots__ = ()
    _fields: tuple[str, ...] = ()
    n_fields = n_sequence_fields = n_unnamed_fields = 0

    def __new__(cls, values: Iterable[Any]) -> _Structure:
        if not isinstance(values, Iterable):
            raise TypeError("constructor requires a sequence")
        made = tuple.__new__(cls, values)
        if len(made) != len(cls._fields):
            raise TypeError(
                f"torch.return_types.{cls.__name__}() takes a {len(cls._fields)}-sequence "
                f"({len(made)}-sequence given)"
            )
        return made

    def __repr__(self) -> str:
        lines = ",\n".join(
            f"{name}={value!r}" for name, value in zip(self._fields, self, strict=True)
        )
        return f"torch.return_types.{type(self).__name__}(\n{lines})"

    def __reduce__(self) -> Any:
        return type(self), (tuple(self),)


def structure(name: str, *fields: str) -> type[_Structure]:
    """A new return type with these fields."""
    body: dict[str, Any] = {field: property(itemgetter(i)) for i, field in enumerate(fields)}
    body.update(
        __slots__=(),
        __module__=__name__,
        _fields=fields,
        n_fields=len(fields),
        n_sequence_fields=len(fields),
    )
    return type(name, (_Structure,), body)


aminmax = structure("aminmax", "min", "max")
cummax = structure("cummax", "values", "indices")
cummin = structure("cummin", "values", "indices")
frexp = structure("frexp", "mantissa", "exponent")
geqrf = structure("geqrf", "a", "tau")
histogram = structure("histogram", "hist", "bin_edges")
histogramdd = structure("histogramdd", "hist", "bin_edges")
kthvalue = structure("kthvalue", "values", "indices")
linalg_cholesky_ex = structure("linalg_cholesky_ex", "L", "info")
linalg_eig = structure("linalg_eig", "eigenvalues", "eigenvectors")
linalg_eigh = structure("linalg_eigh", "eigenvalues", "eigenvectors")
linalg_inv_ex = structure("linalg_inv_ex", "inverse", "info")
linalg_ldl_factor = structure("linalg_ldl_factor", "LD", "pivots")
linalg_ldl_factor_ex = structure("linalg_ldl_factor_ex", "LD", "pivots", "info")
linalg_lstsq = structure("linalg_lstsq", "solution", "residuals", "rank", "singular_values")
linalg_lu = structure("linalg_lu", "P", "L", "U")
linalg_lu_factor = structure("linalg_lu_factor", "LU", "pivots")
linalg_lu_factor_ex = structure("linalg_lu_factor_ex", "LU", "pivots", "info")
linalg_qr = structure("linalg_qr", "Q", "R")
linalg_slogdet = structure("linalg_slogdet", "sign", "logabsdet")
linalg_solve_ex = structure("linalg_solve_ex", "result", "info")
linalg_svd = structure("linalg_svd", "U", "S", "Vh")
lu_unpack = structure("lu_unpack", "P", "L", "U")
max = structure("max", "values", "indices")
median = structure("median", "values", "indices")
min = structure("min", "values", "indices")
mode = structure("mode", "values", "indices")
nanmedian = structure("nanmedian", "values", "indices")
qr = structure("qr", "Q", "R")
slogdet = structure("slogdet", "sign", "logabsdet")
sort = structure("sort", "values", "indices")
svd = structure("svd", "U", "S", "V")
topk = structure("topk", "values", "indices")
triangular_solve = structure("triangular_solve", "solution", "cloned_coefficient")
