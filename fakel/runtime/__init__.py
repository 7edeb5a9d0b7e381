"""What programs run on: today the number of threads; the compiler's thread team will live here."""

from fakel.runtime.threads import get_num_threads, set_num_threads

__all__ = ["get_num_threads", "set_num_threads"]
