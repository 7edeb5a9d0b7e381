"""From the graph to a program: which kernels run on which memory, in which order."""
