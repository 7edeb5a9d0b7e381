"""`biject_to` and `transform_to`: transforms from unconstrained values to constrained ones.

They let an optimizer work on unconstrained parameters: ``transform_to(constraint)(x)`` satisfies
the constraint for every real x. ``biject_to`` gives bijections, which have a Jacobian;
``transform_to`` may give something simpler, such as a softmax.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fakel.distributions import constraints, transforms

__all__ = ["ConstraintRegistry", "biject_to", "transform_to"]


class ConstraintRegistry:
    """Transforms by the type of the constraint at their end."""

    def __init__(self) -> None:
        self._registry: dict[type, Callable[[Any], Any]] = {}
        super().__init__()

    def register(self, constraint: Any, factory: Callable[[Any], Any] | None = None) -> Any:
        """Says which transform leads to constraints of a type; without a factory, a decorator.

        Args:
            constraint: a subclass of ``Constraint``, or an instance of one.
            factory: makes the transform from a constraint of that type.

        Raises:
            TypeError: when it is no constraint.
        """
        if factory is None:
            return lambda factory: self.register(constraint, factory)
        kind = type(constraint) if isinstance(constraint, constraints.Constraint) else constraint
        if not isinstance(kind, type) or not issubclass(kind, constraints.Constraint):
            raise TypeError(
                "Expected constraint to be either a Constraint subclass or instance, but got "
                f"{constraint}"
            )
        self._registry[kind] = factory
        return factory

    def __call__(self, constraint: Any) -> Any:
        """The transform to a constraint.

        Raises:
            NotImplementedError: when none is registered.
        """
        try:
            factory = self._registry[type(constraint)]
        except KeyError:
            raise NotImplementedError(
                f"Cannot transform {type(constraint).__name__} constraints"
            ) from None
        return factory(constraint)


biject_to = ConstraintRegistry()
transform_to = ConstraintRegistry()


def _register(*kinds: Any, to: tuple[ConstraintRegistry, ...] = (biject_to, transform_to)) -> Any:
    def register(factory: Callable[[Any], Any]) -> Callable[[Any], Any]:
        for registry in to:
            for kind in kinds:
                registry.register(kind, factory)
        return factory

    return register


@_register(constraints.real)
def _real(constraint: Any) -> Any:
    return transforms.identity_transform


@_register(constraints.greater_than, constraints.greater_than_eq)
def _greater_than(constraint: Any) -> Any:
    shift = transforms.AffineTransform(constraint.lower_bound, 1)
    return transforms.ComposeTransform([transforms.ExpTransform(), shift])


@_register(constraints.less_than)
def _less_than(constraint: Any) -> Any:
    reflection = transforms.AffineTransform(constraint.upper_bound, -1)
    return transforms.ComposeTransform([transforms.ExpTransform(), reflection])


@_register(constraints.interval, constraints.half_open_interval)
def _interval(constraint: Any) -> Any:
    low, high = constraint.lower_bound, constraint.upper_bound
    numbers = isinstance(low, (int, float)) and isinstance(high, (int, float))
    if numbers and (low, high) == (0, 1):
        return transforms.SigmoidTransform()
    stretch = transforms.AffineTransform(low, high - low)
    return transforms.ComposeTransform([transforms.SigmoidTransform(), stretch])


@_register(constraints.simplex, to=(biject_to,))
def _simplex_by_sticks(constraint: Any) -> Any:
    return transforms.StickBreakingTransform()


@_register(constraints.simplex, to=(transform_to,))
def _simplex(constraint: Any) -> Any:
    return transforms.SoftmaxTransform()


@_register(constraints.lower_cholesky, to=(transform_to,))
def _lower_cholesky(constraint: Any) -> Any:
    return transforms.LowerCholeskyTransform()


@_register(constraints.positive_definite, constraints.positive_semidefinite, to=(transform_to,))
def _positive_definite(constraint: Any) -> Any:
    return transforms.PositiveDefiniteTransform()


@_register(constraints.corr_cholesky)
def _corr_cholesky(constraint: Any) -> Any:
    return transforms.CorrCholeskyTransform()


def _register_those_of_others(registry: ConstraintRegistry) -> None:
    @registry.register(constraints.independent)
    def _independent(constraint: Any) -> Any:
        base = registry(constraint.base_constraint)
        return transforms.IndependentTransform(base, constraint.reinterpreted_batch_ndims)

    @registry.register(constraints.cat)
    def _cat(constraint: Any) -> Any:
        parts = [registry(each) for each in constraint.cseq]
        return transforms.CatTransform(parts, constraint.dim, constraint.lengths)

    @registry.register(constraints.stack)
    def _stack(constraint: Any) -> Any:
        return transforms.StackTransform(
            [registry(each) for each in constraint.cseq], constraint.dim
        )


_register_those_of_others(biject_to)
_register_those_of_others(transform_to)
