"""The compiler: graph → plan → kernels in the loop IR → LLVM → a program that runs natively."""
