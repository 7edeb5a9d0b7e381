"""What goes along rows: reductions, softmax, normalisation, losses, all on the loops of `rows`."""
