"""Different transforms for the parts of a tensor: `CatTransform` and `StackTransform`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fakel import ops
from fakel.distributions import constraints
from fakel.distributions.transforms.transform import Transform
from fakel.distributions.utils import _sum_rightmost, lazy_property, pieces_along

__all__ = ["CatTransform", "StackTransform"]


class _Several(Transform):
    """Transforms for parts that lie along a dimension."""

    _wanted = ""  # how errors name the size along the dimension

    def __init__(self, tseq: Sequence[Transform], dim: int, cache_size: int) -> None:
        if not all(isinstance(each, Transform) for each in tseq):
            raise AssertionError("All elements of tseq must be Transform instances")
        if cache_size:
            tseq = [each.with_cache(cache_size) for each in tseq]
        super().__init__(cache_size=cache_size)
        self.transforms = list(tseq)
        self.dim = dim

    def _size(self) -> int:
        raise NotImplementedError

    def _parts(self, value: Any, name: str, shown: str = "tensor") -> Any:
        """The parts of a tensor, after a look at its shape."""
        if not -value.dim() <= self.dim < value.dim():
            raise AssertionError(
                f"dim {self.dim} out of range for {shown} with {value.dim()} dimensions"
            )
        size = value.size(self.dim)
        if size != self._size():
            raise AssertionError(
                f"{name}.size({self.dim}) = {size} must equal {self._wanted} {self._size()}"
            )
        return self._split(value)

    def _split(self, value: Any) -> Any:
        raise NotImplementedError

    def _joined(self, parts: list[Any]) -> Any:
        raise NotImplementedError

    def _call(self, x: Any) -> Any:
        return self._joined([each(part) for each, part in self._paired(self._parts(x, "x"))])

    def _inverse(self, y: Any) -> Any:
        return self._joined([each.inv(part) for each, part in self._paired(self._parts(y, "y"))])

    def _paired(self, parts: Any) -> Any:
        return zip(self.transforms, parts)

    def _terms(self, x: Any, y: Any) -> list[Any]:
        """Each part's log |det dy/dx|."""
        ends = zip(self.transforms, self._parts(x, "x", "x"), self._parts(y, "y", "y"))
        return [each.log_abs_det_jacobian(before, after) for each, before, after in ends]

    @property
    def bijective(self) -> bool:
        return all(each.bijective for each in self.transforms)


class CatTransform(_Several):
    """Transforms pieces along a dimension, as ``cat`` joins them.

    Args:
        tseq: one transform a piece.
        dim: the dimension along which the pieces lie.
        lengths: the length of each piece; 1 for None.
        cache_size: 0 or 1.
    """

    _wanted = "length"

    def __init__(
        self,
        tseq: Sequence[Transform],
        dim: int = 0,
        lengths: Sequence[int] | None = None,
        cache_size: int = 0,
    ) -> None:
        super().__init__(tseq, dim, cache_size)
        self.lengths = [1] * len(self.transforms) if lengths is None else list(lengths)
        if len(self.lengths) != len(self.transforms):
            raise AssertionError(
                f"lengths ({len(self.lengths)}) must match transforms ({len(self.transforms)})"
            )

    @lazy_property
    def event_dim(self) -> int:
        """The largest of the parts'."""
        return max(each.event_dim for each in self.transforms)

    @lazy_property
    def length(self) -> int:
        """The sum of the pieces' lengths."""
        return sum(self.lengths)

    def _size(self) -> int:
        return self.length

    def _split(self, value: Any) -> Any:
        return pieces_along(value, self.dim, self.lengths)

    def _joined(self, parts: list[Any]) -> Any:
        return ops.cat(parts, dim=self.dim)

    def _with_cache(self, cache_size: int) -> Any:
        return CatTransform(self.transforms, self.dim, self.lengths, cache_size)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        terms = [
            _sum_rightmost(term, self.event_dim - each.event_dim)
            for each, term in zip(self.transforms, self._terms(x, y))
        ]
        dim = self.dim - x.dim() if self.dim >= 0 else self.dim
        dim += self.event_dim
        return ops.cat(terms, dim=dim) if dim < 0 else sum(terms)

    @constraints.dependent_property
    def domain(self) -> Any:
        """The parts' domains."""
        return constraints.cat([each.domain for each in self.transforms], self.dim, self.lengths)

    @constraints.dependent_property
    def codomain(self) -> Any:
        """The parts' codomains."""
        return constraints.cat([each.codomain for each in self.transforms], self.dim, self.lengths)


class StackTransform(_Several):
    """Transforms the tensors that lie along a dimension, as ``stack`` joins them.

    Args:
        tseq: one transform a tensor.
        dim: the dimension along which they lie.
        cache_size: 0 or 1.
    """

    _wanted = "len(transforms)"

    def __init__(self, tseq: Sequence[Transform], dim: int = 0, cache_size: int = 0) -> None:
        super().__init__(tseq, dim, cache_size)

    def _size(self) -> int:
        return len(self.transforms)

    def _split(self, value: Any) -> Any:
        return value.unbind(self.dim)

    def _joined(self, parts: list[Any]) -> Any:
        return ops.stack(parts, dim=self.dim)

    def _with_cache(self, cache_size: int) -> Any:
        return StackTransform(self.transforms, self.dim, cache_size)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return self._joined(self._terms(x, y))

    @constraints.dependent_property
    def domain(self) -> Any:
        """The parts' domains."""
        return constraints.stack([each.domain for each in self.transforms], self.dim)

    @constraints.dependent_property
    def codomain(self) -> Any:
        """The parts' codomains."""
        return constraints.stack([each.codomain for each in self.transforms], self.dim)
