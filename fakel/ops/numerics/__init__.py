"""Special functions of real arrays, which NumPy lacks: they work in float64 throughout."""
