"""Convolution: `lowerings` chooses kernels for convolutions alone, `pooled` for those with pooling.

Each thing that is computed has a kernel for many channels, with channels in the lanes of vectors,
and one for few, with positions in the lanes:

============================  ================  =================
                              many channels     few channels
============================  ================  =================
convolution, input gradient   `blocks`          `rows`
weight gradient               `weights`         `weights_rows`
with ReLU and max pooling     `pooled`          `pooled_rows`, `pooled_lines`
============================  ================  =================

`pooled_gradient` is the weight's gradient through pooling and ReLU. `layout` and `parts` are what
these kernels share.
"""
