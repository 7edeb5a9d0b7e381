"""Averages of weights, as in ``torch.optim.swa_utils``.

Stochastic weight averaging: Izmailov et al., 2018, arXiv:1803.05407.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from copy import deepcopy
from itertools import chain
from typing import Any, Literal

from fakel import ops
from fakel.autograd import no_grad
from fakel.nn import Module
from fakel.nn.modules.batchnorm import _BatchNorm
from fakel.optim.lr_scheduler.base import LRScheduler, one_per_group
from fakel.optim.optimizer import Optimizer
from fakel.recall.calls import recalled
from fakel.tensor import Tensor, dtypes

__all__ = [
    "AveragedModel",
    "SWALR",
    "get_ema_avg_fn",
    "get_ema_multi_avg_fn",
    "get_swa_avg_fn",
    "get_swa_multi_avg_fn",
    "update_bn",
]


def get_ema_avg_fn(decay: float = 0.999) -> Callable[..., Tensor]:
    """A function for ``avg_fn`` that gives ``decay * average + (1 - decay) * current``."""
    _check_decay(decay)

    @no_grad()
    def ema_update(average: Tensor, current: Tensor, num_averaged: Any) -> Tensor:
        return decay * average + (1 - decay) * current

    return ema_update


def get_swa_avg_fn() -> Callable[..., Tensor]:
    """A function for ``avg_fn`` that gives the mean of all models averaged so far."""

    @no_grad()
    def swa_update(average: Tensor, current: Tensor, num_averaged: Any) -> Tensor:
        return average + (current - average) / (num_averaged + 1)

    return swa_update


def get_ema_multi_avg_fn(decay: float = 0.999) -> Callable[..., None]:
    """A function for ``multi_avg_fn``: ``get_ema_avg_fn`` in place on lists of tensors."""
    return _on_lists(get_ema_avg_fn(decay))


def get_swa_multi_avg_fn() -> Callable[..., None]:
    """A function for ``multi_avg_fn``: ``get_swa_avg_fn`` in place on lists of tensors."""
    return _take_mean


def _check_decay(decay: float) -> None:
    if decay < 0.0 or decay > 1.0:
        raise ValueError(
            f"Invalid decay value {decay} provided. Please provide a value in [0,1] range."
        )


def _on_lists(update: Callable[..., Tensor]) -> Callable[..., None]:
    @recalled
    def update_pairs(num_averaged: Any, *pairs: Tensor) -> None:
        for average, current in zip(pairs[::2], pairs[1::2], strict=True):
            average.copy_(update(average, current, num_averaged))

    @no_grad()
    def update_all(averages: list[Tensor], currents: list[Tensor], num_averaged: Any) -> None:
        update_pairs(num_averaged, *chain.from_iterable(zip(averages, currents, strict=True)))

    return update_all


_take_mean = _on_lists(get_swa_avg_fn())
_take_copy = _on_lists(lambda average, current, num_averaged: current)


class AveragedModel(Module):
    """A copy of a model whose parameters are averages of the model's over time.

    Args:
        model: the model to average
        device: where the copy is kept
        avg_fn: gives the new average from ``(average, current, number averaged)``; by default the
            mean
        multi_avg_fn: the same in place, on lists of tensors
        use_buffers: averages buffers as well, instead of copying them
    """

    def __init__(
        self,
        model: Module,
        device: Any = None,
        avg_fn: Callable[..., Tensor] | None = None,
        multi_avg_fn: Callable[..., None] | None = None,
        use_buffers: bool = False,
    ) -> None:
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise AssertionError("Only one of avg_fn and multi_avg_fn should be provided")
        self.module = deepcopy(model)
        if device is not None:
            self.module = self.module.to(device)
        self.register_buffer("n_averaged", ops.tensor(0, dtype=dtypes.int64, device=device))
        self.avg_fn = avg_fn
        self.multi_avg_fn = multi_avg_fn
        self.use_buffers = use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Applies the averaged model."""
        return self.module(*args, **kwargs)

    def update_parameters(self, model: Module) -> None:
        """Takes the present parameters of ``model`` into the average."""
        averages, currents = list(self._averaged(self.module)), list(self._averaged(model))
        if self.n_averaged.item() == 0:
            _take_copy(averages, currents, None)
        elif self.avg_fn is None and self.multi_avg_fn is None:
            _take_mean(averages, currents, self.n_averaged)
        else:
            averages = [average.detach() for average in averages]
            currents = [current.detach() for current in currents]
            if self.multi_avg_fn is not None:
                self.multi_avg_fn(averages, currents, self.n_averaged)
            else:
                for average, current in zip(averages, currents, strict=True):
                    average.copy_(self.avg_fn(average, current, self.n_averaged))  # type: ignore[misc]
        if not self.use_buffers:
            _take_copy(list(self.module.buffers()), list(model.buffers()), None)
        self.n_averaged += 1

    def _averaged(self, model: Module) -> Iterable[Tensor]:
        if self.use_buffers:
            return chain(model.parameters(), model.buffers())
        return model.parameters()


@no_grad()
def update_bn(loader: Iterable[Any], model: Module, device: Any = None) -> None:
    """Recomputes the running statistics of every batch normalisation in ``model`` over ``loader``.

    Args:
        loader: batches, or lists and tuples that begin with the batch
        model: the model, which is applied to every batch
        device: where batches are moved first
    """
    layers = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    if not layers:
        return
    momenta = [layer.momentum for layer in layers]
    was_training = model.training
    model.train()
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None
    for batch in loader:
        if isinstance(batch, (list, tuple)):
            batch = batch[0]
        model(batch if device is None else batch.to(device))
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
    model.train(was_training)


class SWALR(LRScheduler):
    """The learning rate goes to ``swa_lr`` in ``anneal_epochs`` epochs and stays there.

    Args:
        optimizer: the optimizer whose learning rates are set
        swa_lr: final learning rate, or a list with one for each parameter group
        anneal_epochs: epochs of the change
        anneal_strategy: ``"cos"`` or ``"linear"``
        last_epoch: the last epoch done before; -1 starts anew
    """

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: float,
        anneal_epochs: int = 10,
        anneal_strategy: Literal["cos", "linear"] = "cos",
        last_epoch: int = -1,
    ) -> None:
        values = one_per_group("swa_lr", optimizer, swa_lr)
        for group, value in zip(optimizer.param_groups, values, strict=True):
            group["swa_lr"] = value
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(
                f"anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}"
            )
        self._anneal_strategy = anneal_strategy
        if not isinstance(anneal_epochs, int) or anneal_epochs < 0:
            raise ValueError(f"anneal_epochs must be equal or greater than 0, got {anneal_epochs}")
        self.anneal_epochs = anneal_epochs
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Any]:
        self._warn_outside_step()
        step = self._step_count - 1
        if self.anneal_epochs == 0:
            step = max(1, step)
        before, now = self._share(step - 1), self._share(step)
        values = []
        for group in self.optimizer.param_groups:
            final = group["swa_lr"]
            start = final if before == 1 else (group["lr"] - before * final) / (1 - before)
            values.append(final * now + start * (1 - now))
        return values

    def _share(self, step: int) -> float:
        """How far towards the final learning rate ``step`` is, from 0 to 1."""
        share = max(0.0, min(1.0, step / max(1, self.anneal_epochs)))
        return (1 - math.cos(math.pi * share)) / 2 if self._anneal_strategy == "cos" else share
