"""Functions that make a model by name, with torchvision's way of asking for weights."""

from __future__ import annotations

import fnmatch
import functools
import warnings
from collections.abc import Callable, Iterable
from typing import Any

from fakel import nn

_BUILDERS: dict[str, Callable[..., nn.Module]] = {}


def model_builder(function: Callable[..., nn.Module]) -> Callable[..., nn.Module]:
    """Register a builder and give it the keywords `weights`, `progress` and the old `pretrained`.

    fakel has no trained weights to download: asking for some raises RuntimeError. `progress` is
    about that download and has no effect.
    """

    @functools.wraps(function)
    def build(*args: Any, **kwargs: Any) -> nn.Module:
        weights = _requested_weights(args, kwargs)
        if weights:
            raise RuntimeError(
                f"fakel cannot download trained weights for {function.__name__} "
                f"(asked for: {weights}). Build the model with weights=None and load a file of its "
                "state_dict: model.load_state_dict(torch.load(path))"
            )
        return function(**kwargs)

    _BUILDERS[function.__name__] = build
    return build


def _requested_weights(args: tuple, kwargs: dict[str, Any]) -> Any:
    """Take the arguments about weights out of `kwargs`; old ways warn as in torchvision."""
    if len(args) > 2:
        raise TypeError(f"expected at most 2 positional arguments, got {len(args)}")
    positional = dict(zip(("weights", "progress"), args))
    if positional:
        names = " and ".join(f"'{name}'" for name in positional)
        warnings.warn(
            f"Using {names} as positional parameter(s) is deprecated since 0.13 and may be removed "
            "in the future. Please use keyword parameter(s) instead.",
            stacklevel=3,
        )
        kwargs.update(positional)
    kwargs.pop("progress", True)
    weights = kwargs.pop("weights", None)
    if "pretrained" in kwargs:
        weights = bool(kwargs.pop("pretrained"))
        warnings.warn(
            "The parameter 'pretrained' is deprecated since 0.13 and may be removed in the future, "
            "please use 'weights' instead.",
            stacklevel=3,
        )
    if weights is False:
        warnings.warn(
            "Arguments other than a weight enum or `None` for 'weights' are deprecated since 0.13 "
            "and may be removed in the future. The current behavior is equivalent to passing "
            "`weights=None`.",
            stacklevel=3,
        )
    return weights


def list_models(
    include: Iterable[str] | str | None = None, exclude: Iterable[str] | str | None = None
) -> list[str]:
    """The names of all models, sorted; `include` and `exclude` are patterns like "resnet*"."""
    names = set(_BUILDERS)
    if include:
        names = _matching(names, include)
    if exclude:
        names -= _matching(names, exclude)
    return sorted(names)


def _matching(names: set[str], patterns: Iterable[str] | str) -> set[str]:
    patterns = [patterns] if isinstance(patterns, str) else patterns
    return {name for pattern in patterns for name in fnmatch.filter(names, pattern)}


def get_model_builder(name: str) -> Callable[..., nn.Module]:
    """The builder of this name; ValueError when there is none."""
    try:
        return _BUILDERS[name.lower()]
    except KeyError:
        raise ValueError(f"Unknown model {name.lower()}") from None


def get_model(name: str, **config: Any) -> nn.Module:
    """The model of this name, built with `config`."""
    return get_model_builder(name)(**config)
