"""What programs run on: native code made for this machine, kept on disk, run by a team."""

from fakel.runtime.cache import cache_folder
from fakel.runtime.native import compile_kernel, load_library
from fakel.runtime.team import run_rows, run_table, settle, settle_contents, settle_memory
from fakel.runtime.threads import available_processors, get_num_threads, set_num_threads

__all__ = [
    "available_processors",
    "cache_folder",
    "compile_kernel",
    "get_num_threads",
    "load_library",
    "run_rows",
    "run_table",
    "set_num_threads",
    "settle",
    "settle_contents",
    "settle_memory",
]
