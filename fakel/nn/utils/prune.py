"""Pruning: setting the least important elements of parameters to zero, for good.

A pruned parameter ``name`` becomes a parameter ``name_orig`` and a buffer ``name_mask``; their
product is computed before every forward. Elements can be chosen one by one ("unstructured"), or
in whole slices along a dimension ("structured"). ``amount`` is a count or a fraction.
"""

import numbers
from abc import ABC, abstractmethod
from collections.abc import Iterable

from fakel import ops
from fakel.nn.utils.convert_parameters import parameters_to_vector
from fakel.tensor import dtypes

__all__ = [
    "BasePruningMethod",
    "CustomFromMask",
    "Identity",
    "L1Unstructured",
    "LnStructured",
    "PruningContainer",
    "RandomStructured",
    "RandomUnstructured",
    "custom_from_mask",
    "global_unstructured",
    "identity",
    "is_pruned",
    "l1_unstructured",
    "ln_structured",
    "random_structured",
    "random_unstructured",
    "remove",
]


class BasePruningMethod(ABC):
    """A way to choose what to prune: a subclass defines ``compute_mask`` and PRUNING_TYPE.

    An instance is the hook that applies the mask before the forward.
    """

    _tensor_name: str

    def __call__(self, module, inputs):
        setattr(module, self._tensor_name, self.apply_mask(module))

    @abstractmethod
    def compute_mask(self, t, default_mask):
        """The mask for the importances ``t``, not keeping anything ``default_mask`` drops."""

    def apply_mask(self, module):
        """The pruned value of the module's parameter."""
        original = getattr(module, self._tensor_name + "_orig")
        mask = getattr(module, self._tensor_name + "_mask")
        return mask.to(dtype=original.dtype) * original

    @classmethod
    def apply(cls, module, name, *args, importance_scores=None, **kwargs):
        """Prune the parameter ``name`` of a module, further if it was pruned before."""
        method = cls(*args, **kwargs)
        method._tensor_name = name
        tensor = getattr(module, name)
        if importance_scores is None:
            importance_scores = tensor
        elif importance_scores.shape != tensor.shape:
            raise AssertionError(
                "importance_scores should have the same shape as parameter "
                f"{name} of {module}, got {importance_scores.shape} vs {tensor.shape}"
            )
        key = _hook_of(module, name)
        if key is not None:
            before = module._forward_pre_hooks.pop(key)
            if not isinstance(before, PruningContainer):
                before = PruningContainer(before)
            before.add_pruning_method(method)
            method = before
            default_mask = getattr(module, name + "_mask").detach().clone()
        else:
            default_mask = ops.ones_like(tensor)
        mask = method.compute_mask(importance_scores, default_mask=default_mask)
        if key is None:
            module.register_parameter(name + "_orig", tensor)
            del module._parameters[name]
        module.register_buffer(name + "_mask", mask)
        setattr(module, name, method.apply_mask(module))
        module.register_forward_pre_hook(method)
        return method

    def prune(self, t, default_mask=None, importance_scores=None):
        """The pruned value of a tensor that belongs to no module."""
        if importance_scores is None:
            importance_scores = t
        elif importance_scores.shape != t.shape:
            raise AssertionError(
                "importance_scores should have the same shape as tensor t, "
                f"got {importance_scores.shape} vs {t.shape}"
            )
        if default_mask is None:
            default_mask = ops.ones_like(t)
        return t * self.compute_mask(importance_scores, default_mask=default_mask)

    def remove(self, module):
        """Make the pruned values the module's ordinary parameter."""
        weight = self.apply_mask(module)
        delattr(module, self._tensor_name)
        original = module._parameters.pop(self._tensor_name + "_orig")
        del module._buffers[self._tensor_name + "_mask"]
        original.data = weight.data
        setattr(module, self._tensor_name, original)


class PruningContainer(BasePruningMethod):
    """Several pruning methods of one parameter, each applied to what the last one left."""

    def __init__(self, *args):
        self._pruning_methods = ()
        if len(args) == 1:
            self._tensor_name = args[0]._tensor_name
        for method in args:
            self.add_pruning_method(method)

    def add_pruning_method(self, method):
        """Add a method for the same parameter."""
        if not isinstance(method, BasePruningMethod) and method is not None:
            raise TypeError(f"{type(method)} is not a BasePruningMethod subclass")
        if method is not None and self._tensor_name != method._tensor_name:
            raise ValueError(
                "Can only add pruning methods acting on the parameter named "
                f"'{self._tensor_name}' to PruningContainer {self}. "
                f"Found '{method._tensor_name}'"
            )
        self._pruning_methods += (method,)

    def __len__(self):
        return len(self._pruning_methods)

    def __iter__(self):
        return iter(self._pruning_methods)

    def __getitem__(self, idx):
        return self._pruning_methods[idx]

    def compute_mask(self, t, default_mask):
        """Apply the last method to what the mask has kept so far."""
        method = self._pruning_methods[-1]
        kept = self._kept(method, t, default_mask)
        mask = default_mask.to(dtype=t.dtype).clone()
        mask[kept] = method.compute_mask(t[kept], default_mask=default_mask[kept]).to(mask.dtype)
        return mask

    def _kept(self, method, t, mask):
        """An index of the elements or slices that a method may still prune."""
        if method.PRUNING_TYPE == "unstructured":
            return mask == 1
        whole = [slice(None)] * t.dim()
        if method.PRUNING_TYPE == "structured":
            if not hasattr(method, "dim"):
                raise AttributeError(
                    'Pruning methods of PRUNING_TYPE "structured" need to have the attribute '
                    "`dim` defined."
                )
            dim = method.dim + t.dim() if method.dim < 0 else method.dim
            if dim < 0:
                raise IndexError(f"Index is out of bounds for tensor with dimensions {t.dim()}")
            others = [axis for axis in range(t.dim()) if axis != dim]
            whole[dim] = mask.sum(dim=others) != 0
        elif method.PRUNING_TYPE != "global":
            raise ValueError(f"Unrecognized PRUNING_TYPE {method.PRUNING_TYPE}")
        return tuple(whole)


class Identity(BasePruningMethod):
    """Prunes nothing."""

    PRUNING_TYPE = "unstructured"

    def compute_mask(self, t, default_mask):
        return default_mask


class _UnstructuredMethod(BasePruningMethod):
    """Prunes the elements with the lowest scores."""

    PRUNING_TYPE = "unstructured"

    def __init__(self, amount):
        _check_amount(amount)
        self.amount = amount

    def compute_mask(self, t, default_mask):
        count = _count(self.amount, t.numel())
        mask = default_mask.clone()
        if count:
            flat = mask.reshape(-1)
            flat[self._lowest(t, count)] = 0
            mask = flat.reshape(mask.shape)
        return mask


class RandomUnstructured(_UnstructuredMethod):
    """Prunes elements at random."""

    def _lowest(self, t, count):
        return ops.topk(ops.rand_like(t).reshape(-1), k=count).indices


class L1Unstructured(_UnstructuredMethod):
    """Prunes the elements with the smallest magnitudes."""

    def _lowest(self, t, count):
        return ops.topk(t.detach().abs().reshape(-1), k=count, largest=False).indices


class _StructuredMethod(BasePruningMethod):
    """Prunes slices along a dimension."""

    PRUNING_TYPE = "structured"

    def compute_mask(self, t, default_mask):
        if t.dim() <= 1:
            raise ValueError(
                "Structured pruning can only be applied to multidimensional tensors. "
                f"Found tensor of shape {t.shape} with {t.dim()} dims"
            )
        if self.dim >= t.dim():
            raise IndexError(f"Invalid index {self.dim} for tensor of size {t.shape}")
        length = t.shape[self.dim]
        count = _count(self.amount, length)
        if count == 0:
            return default_mask
        shape = [1] * t.dim()
        shape[self.dim] = length
        return self._kept(t, length, count).to(t.dtype).reshape(shape) * default_mask.to(t.dtype)


class RandomStructured(_StructuredMethod):
    """Prunes slices at random."""

    def __init__(self, amount, dim=-1):
        _check_amount(amount)
        self.amount = amount
        self.dim = dim

    def _kept(self, t, length, count):
        scores = ops.rand(length)
        return scores > ops.kthvalue(scores, k=count).values


class LnStructured(_StructuredMethod):
    """Prunes the slices with the smallest n-norms."""

    def __init__(self, amount, n, dim=-1):
        _check_amount(amount)
        self.amount = amount
        self.n = n
        self.dim = dim

    def _kept(self, t, length, count):
        others = [axis for axis in range(t.dim()) if axis != self.dim % t.dim()]
        norms = ops.norm(t.detach(), p=self.n, dim=others)
        largest = ops.topk(norms, k=length - count, largest=True).indices
        kept = ops.zeros(length, dtype=dtypes.bool_)
        kept[largest] = True
        return kept


class CustomFromMask(BasePruningMethod):
    """Prunes what a given mask says."""

    PRUNING_TYPE = "global"

    def __init__(self, mask):
        self.mask = mask

    def compute_mask(self, t, default_mask):
        if default_mask.shape != self.mask.shape:
            raise AssertionError(
                f"default_mask shape {default_mask.shape} must match "
                f"self.mask shape {self.mask.shape}"
            )
        return default_mask * self.mask.to(dtype=default_mask.dtype)


def identity(module, name):
    """Treat a parameter as pruned without pruning anything."""
    Identity.apply(module, name)
    return module


def random_unstructured(module, name, amount):
    """Prune elements of a parameter at random."""
    RandomUnstructured.apply(module, name, amount)
    return module


def l1_unstructured(module, name, amount, importance_scores=None):
    """Prune the elements of a parameter with the smallest magnitudes (or scores)."""
    L1Unstructured.apply(module, name, amount=amount, importance_scores=importance_scores)
    return module


def random_structured(module, name, amount, dim):
    """Prune slices of a parameter along a dimension at random."""
    RandomStructured.apply(module, name, amount, dim)
    return module


def ln_structured(module, name, amount, n, dim, importance_scores=None):
    """Prune the slices of a parameter along a dimension with the smallest n-norms."""
    LnStructured.apply(module, name, amount, n, dim, importance_scores=importance_scores)
    return module


def custom_from_mask(module, name, mask):
    """Prune a parameter by a given mask."""
    CustomFromMask.apply(module, name, mask)
    return module


def global_unstructured(parameters, pruning_method, importance_scores=None, **kwargs):
    """Prune several parameters as if they were one.

    Args:
        parameters: pairs of module and parameter name.
        pruning_method: an unstructured pruning class.
        importance_scores: scores by such pairs, in the place of the values.
        kwargs: the arguments of the class, such as ``amount``.
    """
    if not isinstance(parameters, Iterable):
        raise TypeError("global_unstructured(): parameters is not an Iterable")
    scores = {} if importance_scores is None else importance_scores
    if not isinstance(scores, dict):
        raise TypeError("global_unstructured(): importance_scores must be of type dict")
    parameters = list(parameters)
    values = [getattr(module, name) for module, name in parameters]
    importance = parameters_to_vector(
        scores.get(pair, value) for pair, value in zip(parameters, values, strict=True)
    )
    kept_before = parameters_to_vector(
        getattr(module, name + "_mask", ops.ones_like(value))
        for (module, name), value in zip(parameters, values, strict=True)
    )
    method = pruning_method(**kwargs)
    if method.PRUNING_TYPE != "unstructured":
        raise TypeError(
            'Only "unstructured" PRUNING_TYPE supported for the `pruning_method`. '
            f"Found method {pruning_method} of type {method.PRUNING_TYPE}"
        )
    method._tensor_name = "all"
    mask = PruningContainer(method).compute_mask(importance, kept_before)
    begin = 0
    for (module, name), value in zip(parameters, values, strict=True):
        end = begin + value.numel()
        custom_from_mask(module, name, mask[begin:end].view_as(value))
        begin = end


def remove(module, name):
    """Make the pruned values of a parameter permanent."""
    key = _hook_of(module, name)
    if key is None:
        raise ValueError(
            f"Parameter '{name}' of module {module} has to be pruned before pruning can be removed"
        )
    module._forward_pre_hooks.pop(key).remove(module)
    return module


def is_pruned(module):
    """Say whether a parameter of the module or of one below it is pruned."""
    return any(
        isinstance(hook, BasePruningMethod)
        for submodule in module.modules()
        for hook in submodule._forward_pre_hooks.values()
    )


def _hook_of(module, name):
    for key, hook in module._forward_pre_hooks.items():
        if isinstance(hook, BasePruningMethod) and hook._tensor_name == name:
            return key
    return None


def _check_amount(amount):
    if not isinstance(amount, numbers.Real):
        raise TypeError(f"Invalid type for amount: {amount}. Must be int or float.")
    whole = isinstance(amount, numbers.Integral)
    if amount < 0 or (not whole and amount > 1.0):
        raise ValueError(
            f"amount={amount} should either be a float in the range [0, 1] "
            "or a non-negative integer"
        )


def _count(amount, total):
    """How many of ``total`` an amount stands for."""
    if not isinstance(amount, numbers.Integral):
        return round(amount * total)
    if amount > total:
        raise ValueError(
            f"amount={amount} should be smaller than the number of parameters to prune={total}"
        )
    return amount
