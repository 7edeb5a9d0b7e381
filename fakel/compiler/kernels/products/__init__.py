"""Matrix products: `lowerings` chooses operands' layout and tiling, `product` and `dots` compute.

`product` reads b in strips of columns, which `packing` makes where it does not lie so already;
`dots` is for operands that both lie along the depth. `tiles` is for other families' kernels, which
multiply small matrices in the middle of something else.
"""
