"""``torch.backends``: the libraries that PyTorch may use and fakel does not need."""

from fakel.backends import cuda, cudnn, mkl, mkldnn, mps, openmp

__all__ = ["cuda", "cudnn", "mkl", "mkldnn", "mps", "openmp"]
