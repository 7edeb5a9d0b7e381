"""Parallel containers. All computation here is on one CPU, so they pass through."""

from fakel.nn.parallel.data_parallel import DataParallel, data_parallel

__all__ = ["DataParallel", "data_parallel"]
