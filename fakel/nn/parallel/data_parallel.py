"""DataParallel, which without GPUs calls its module."""

from fakel.nn.modules.module import Module

__all__ = ["DataParallel", "data_parallel"]


class DataParallel(Module):
    """Wraps a module under the name ``module``, as PyTorch does where there is no GPU.

    Args:
        module: the module to call.
        device_ids: GPUs, must be None or empty.
        output_device: a GPU, must be None.
        dim: the dimension of the batch.
    """

    def __init__(self, module, device_ids=None, output_device=None, dim=0):
        super().__init__()
        _refuse_devices(device_ids, output_device)
        self.module = module
        self.device_ids = []
        self.dim = dim

    def forward(self, *inputs, **kwargs):
        return self.module(*inputs, **kwargs)


def data_parallel(module, inputs, device_ids=None, output_device=None, dim=0, module_kwargs=None):
    """Call ``module`` with ``inputs``, as :class:`DataParallel` does."""
    _refuse_devices(device_ids, output_device)
    if not isinstance(inputs, tuple):
        inputs = (inputs,)
    return module(*inputs, **(module_kwargs or {}))


def _refuse_devices(device_ids, output_device):
    if device_ids or output_device is not None:
        raise AssertionError("Torch not compiled with CUDA enabled")
