"""Event files for TensorBoard, as in ``torch.utils.tensorboard``, written without it."""

from fakel.utils.tensorboard.writer import FileWriter, SummaryWriter

__all__ = ["FileWriter", "SummaryWriter"]
