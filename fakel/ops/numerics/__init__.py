"""Special functions of real arrays in pure NumPy, which has none: they work in float64 throughout."""
