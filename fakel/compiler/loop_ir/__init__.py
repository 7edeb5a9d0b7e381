"""The loop IR: its language, how kernels are put together in it, and LLVM from it."""
