"""`Parametric`: distributions that expand by expanding what ``arg_constraints`` names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fakel.distributions.distribution import Distribution
from fakel.tensor import Size


class Parametric(Distribution):
    """A distribution whose parameters are attributes, named and described by ``arg_constraints``.

    A parameter's shape is the batch's, followed by as many dimensions as its constraint says that
    an event of it has: none for a number, one for a vector, two for a matrix.
    """

    @classmethod
    def _family(cls) -> type:
        """The first base class, or the class itself, that is no user's."""
        return next(base for base in cls.__mro__ if base.__module__.startswith(__package__))

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> Any:
        """The same distribution with its parameters expanded to a batch shape, without copies.

        Args:
            batch_shape: the new batch shape.
            _instance: the object to fill in, given by subclasses with an ``expand`` of their own.
        """
        new = self._get_checked_instance(self._family(), _instance)
        batch_shape = Size(batch_shape)
        for name, constraint in self.arg_constraints.items():
            if name in self.__dict__:
                value = self.__dict__[name]
                own = value.shape[value.dim() - constraint.event_dim :]
                setattr(new, name, value.expand(batch_shape + own))
        self._expand_rest(new, batch_shape)
        Distribution.__init__(new, batch_shape, self._event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    def _expand_rest(self, new: Any, batch_shape: Size) -> None:
        """Gives ``new`` what it needs besides its parameters."""
