"""The parts of the loader that run in worker processes as well as in the main process."""

from fakel.utils.data._utils import collate, fetch, worker
from fakel.utils.data._utils.exceptions import ExceptionWrapper

__all__ = ["ExceptionWrapper", "collate", "fetch", "worker"]
