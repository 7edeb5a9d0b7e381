"""`Distribution`: what all distributions have in common, and how their arguments are checked."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from fakel.autograd import no_grad
from fakel.distributions import constraints
from fakel.distributions.utils import lazy_property
from fakel.tensor import Size, Tensor

__all__ = ["Distribution"]


class Distribution:
    """A probability distribution, or a batch of them.

    A sample has the shape ``sample_shape + batch_shape + event_shape``: ``sample_shape`` is what
    one asks for, the samples along ``batch_shape`` are independent but of different distributions,
    and an event is one draw, which may have dependent components.

    Args:
        batch_shape: the shape of the batch.
        event_shape: the shape of one draw.
        validate_args: whether parameters and values are checked against constraints; for None, as
            ``set_default_validate_args`` says.

    Raises:
        ValueError: when a parameter violates its constraint.
    """

    has_rsample = False
    has_enumerate_support = False
    _validate_args = __debug__

    @staticmethod
    def set_default_validate_args(value: bool) -> None:
        """Whether distributions made from now on check their arguments, which costs time.

        At the start they do, unless Python runs with ``-O``.
        """
        if value not in (True, False):
            raise ValueError
        Distribution._validate_args = value

    def __init__(
        self,
        batch_shape: Sequence[int] = (),
        event_shape: Sequence[int] = (),
        validate_args: bool | None = None,
    ) -> None:
        self._batch_shape = Size(batch_shape)
        self._event_shape = Size(event_shape)
        if validate_args is not None:
            self._validate_args = validate_args
        if self._validate_args:
            self._validate_parameters()
        super().__init__()

    def _validate_parameters(self) -> None:
        try:
            arg_constraints = self.arg_constraints
        except NotImplementedError:
            arg_constraints = {}
            warnings.warn(
                f"{self.__class__} does not define `arg_constraints`. Please set "
                "`arg_constraints = {}` or initialize the distribution with "
                "`validate_args=False` to turn off validation.",
                stacklevel=3,
            )
        for name, constraint in arg_constraints.items():
            if constraints.is_dependent(constraint):
                continue  # known only with the other parameters
            if name not in self.__dict__ and isinstance(getattr(type(self), name), lazy_property):
                continue  # follows from the parameters that were given
            value = getattr(self, name)
            if not constraint._holds(value):
                raise ValueError(
                    f"Expected parameter {name} ({described(value)}) of distribution {self!r} to "
                    f"satisfy the constraint {constraint!r}, but found invalid values:\n{value}"
                )

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> Any:
        """The same distribution with its parameters expanded to a batch shape, without copies.

        Args:
            batch_shape: the new batch shape.
            _instance: the object to fill in, given by subclasses with an ``expand`` of their own.
        """
        raise NotImplementedError

    @property
    def batch_shape(self) -> Size:
        """The shape over which parameters are batched."""
        return self._batch_shape

    @property
    def event_shape(self) -> Size:
        """The shape of one draw."""
        return self._event_shape

    @property
    def arg_constraints(self) -> dict[str, constraints.Constraint]:
        """What parameters have to satisfy, by name."""
        raise NotImplementedError

    @property
    def support(self) -> Any:
        """The constraint that values of the distribution satisfy."""
        raise NotImplementedError

    @property
    def mean(self) -> Any:
        """The mean."""
        raise NotImplementedError

    @property
    def mode(self) -> Any:
        """The value of the highest density or probability."""
        raise NotImplementedError(f"{self.__class__} does not implement mode")

    @property
    def variance(self) -> Any:
        """The variance."""
        raise NotImplementedError

    @property
    def stddev(self) -> Any:
        """The standard deviation."""
        return self.variance.sqrt()

    def sample(self, sample_shape: Sequence[int] = ()) -> Any:
        """Draws values, without a gradient.

        Args:
            sample_shape: how many, as a shape that comes before those of batch and event.
        """
        with no_grad():
            return self.rsample(sample_shape)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Any:
        """Draws values that are differentiable functions of the parameters.

        Args:
            sample_shape: how many, as a shape that comes before those of batch and event.
        """
        raise NotImplementedError

    def sample_n(self, n: int) -> Any:
        """Draws ``n`` values; ``sample((n,))`` is the name of today."""
        warnings.warn(
            "`sample_n(n)` will be deprecated. Use `sample((n,))` instead.",
            FutureWarning,
            stacklevel=2,
        )
        return self.sample(Size((n,)))

    def log_prob(self, value: Any) -> Any:
        """The logarithm of the density, or of the probability, at a value."""
        raise NotImplementedError

    def cdf(self, value: Any) -> Any:
        """The probability of at most ``value``."""
        raise NotImplementedError

    def icdf(self, value: Any) -> Any:
        """The inverse of ``cdf``."""
        raise NotImplementedError

    def enumerate_support(self, expand: bool = True) -> Any:
        """All values of a discrete distribution along a new first dimension.

        Batches go in lock-step: ``[[0, 0], [1, 1], ...]``.

        Args:
            expand: whether the values are repeated along the batch; dimensions of size 1 otherwise.
        """
        raise NotImplementedError

    def entropy(self) -> Any:
        """The entropy in nats, of the batch's shape."""
        raise NotImplementedError

    def perplexity(self) -> Any:
        """The exponential of the entropy."""
        return self.entropy().exp()

    def _extended_shape(self, sample_shape: Sequence[int] = ()) -> Size:
        return Size(Size(sample_shape) + self._batch_shape + self._event_shape)

    def _check_sample(self, value: Any) -> None:
        if self._validate_args:
            self._validate_sample(value)

    def _validate_sample(self, value: Any) -> None:
        """Raises ValueError for values that this distribution cannot have."""
        if not isinstance(value, Tensor):
            raise ValueError("The value argument to log_prob must be a Tensor")
        shape = value.size()
        if shape[len(shape) - len(self._event_shape) :] != self._event_shape:
            raise ValueError(
                "The right-most size of value must match event_shape: "
                f"{shape} vs {self._event_shape}."
            )
        expected = self._batch_shape + self._event_shape
        for actual, wanted in zip(reversed(shape), reversed(expected)):
            if actual != 1 and wanted != 1 and actual != wanted:
                raise ValueError(
                    "Value is not broadcastable with batch_shape+event_shape: "
                    f"{shape} vs {expected}."
                )
        try:
            support = self.support
        except NotImplementedError:
            warnings.warn(
                f"{self.__class__} does not define `support` to enable sample validation. Please "
                "initialize the distribution with `validate_args=False` to turn off validation.",
                stacklevel=2,
            )
            return
        if not support._holds(value):
            raise ValueError(
                f"Expected value argument ({described(value)}) to be within the support "
                f"({support!r}) of the distribution {self!r}, but found invalid values:\n{value}"
            )

    def _get_checked_instance(self, cls: type, _instance: Any = None) -> Any:
        if _instance is None and type(self).__init__ != cls.__init__:
            raise NotImplementedError(
                f"Subclass {self.__class__.__name__} of {cls.__name__} that defines a custom "
                "__init__ method must also define a custom .expand() method."
            )
        return self.__new__(type(self)) if _instance is None else _instance

    def __repr__(self) -> str:
        given = ((name, self.__dict__.get(name)) for name in self.arg_constraints)
        shown = [
            f"{name}: {value if value.numel() == 1 else value.size()}"
            for name, value in given
            if value is not None
        ]
        return f"{self.__class__.__name__}({', '.join(shown)})"


def described(value: Any) -> str:
    return f"{type(value).__name__} of shape {tuple(value.shape)}"
