"""Ready-made parametrizations of weights."""

from fakel import ops
from fakel.autograd import no_grad
from fakel.nn import functional as F
from fakel.nn.modules.conv import _ConvTransposeNd
from fakel.nn.modules.module import Module
from fakel.nn.utils._orthogonal import orthogonal
from fakel.nn.utils.parametrize import register_parametrization
from fakel.nn.utils.weight_norm import norm_except_dim
from fakel.tensor import Tensor

__all__ = ["orthogonal", "spectral_norm", "weight_norm"]


class _WeightNorm(Module):
    """weight = g v / ‖v‖."""

    def __init__(self, dim=0):
        super().__init__()
        self.dim = -1 if dim is None else dim

    def forward(self, weight_g, weight_v):
        return weight_v * (weight_g / norm_except_dim(weight_v, self.dim))

    def right_inverse(self, weight):
        return norm_except_dim(weight, self.dim), weight


def weight_norm(module, name="weight", dim=0):
    """Let a module learn length and direction of a parameter apart (arXiv:1602.07868).

    Args:
        module: the module, changed in place and returned.
        name: the name of the parameter.
        dim: the dimension whose slices have a length each; None for one length of all.
    """
    register_parametrization(module, name, _WeightNorm(dim), unsafe=True)

    def rename_old_keys(state_dict, prefix, *rest):
        old = (f"{prefix}{name}_g", f"{prefix}{name}_v")
        if all(key in state_dict for key in old):
            for position, key in enumerate(old):
                new = f"{prefix}parametrizations.{name}.original{position}"
                state_dict[new] = state_dict.pop(key)

    module._register_load_state_dict_pre_hook(rename_old_keys)
    return module


class _SpectralNorm(Module):
    """weight = W / σ with σ ≈ uᵀ W v from power iteration."""

    def __init__(self, weight, n_power_iterations=1, dim=0, eps=1e-12):
        super().__init__()
        ndim = weight.ndim
        if not -ndim <= dim < ndim:
            raise IndexError(
                "Dimension out of range (expected to be in range of "
                f"[-{ndim}, {ndim - 1}] but got {dim})"
            )
        if n_power_iterations <= 0:
            raise ValueError(
                "Expected n_power_iterations to be positive, but "
                f"got n_power_iterations={n_power_iterations}"
            )
        self.dim = dim if dim >= 0 else dim + ndim
        self.eps = eps
        if ndim > 1:
            self.n_power_iterations = n_power_iterations
            matrix = self._as_matrix(weight)
            rows, columns = matrix.size()
            u = matrix.new_empty(rows).normal_(0, 1)
            v = matrix.new_empty(columns).normal_(0, 1)
            self.register_buffer("_u", F.normalize(u, dim=0, eps=eps))
            self.register_buffer("_v", F.normalize(v, dim=0, eps=eps))
            self._power_method(matrix, 15)

    def _as_matrix(self, weight):
        if self.dim != 0:
            others = (axis for axis in range(weight.dim()) if axis != self.dim)
            weight = weight.permute(self.dim, *others)
        return weight.flatten(1)

    @no_grad()
    def _power_method(self, matrix, n_power_iterations):
        u, v = self._u, self._v
        for _ in range(n_power_iterations):
            u = F.normalize(ops.mv(matrix, v), dim=0, eps=self.eps)
            v = F.normalize(ops.mv(matrix.t(), u), dim=0, eps=self.eps)
        self._u.copy_(u)
        self._v.copy_(v)

    def forward(self, weight):
        if weight.ndim == 1:
            return F.normalize(weight, dim=0, eps=self.eps)
        matrix = self._as_matrix(weight)
        if self.training:
            self._power_method(matrix, self.n_power_iterations)
        # Backward needs these values, and the next forward overwrites the buffers.
        u, v = self._u.clone(), self._v.clone()
        return weight / ops.dot(u, ops.mv(matrix, v))

    def right_inverse(self, value):
        return value


def spectral_norm(module, name="weight", n_power_iterations=1, eps=1e-12, dim=None):
    """Divide a parameter by its largest singular value (arXiv:1802.05957).

    Args:
        module: the module, changed in place and returned.
        name: the name of the parameter.
        n_power_iterations: how often u and v are improved in each forward in training.
        eps: keeps norms from zero.
        dim: the dimension of the outputs: 0, but 1 for transposed convolutions.
    """
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ValueError(f"Module '{module}' has no parameter or buffer with name '{name}'")
    if dim is None:
        dim = 1 if isinstance(module, _ConvTransposeNd) else 0
    normalisation = _SpectralNorm(weight, n_power_iterations, dim, eps)
    return register_parametrization(module, name, normalisation)
