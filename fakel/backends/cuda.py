"""``torch.backends.cuda``: settings that only matter on a CUDA device."""


class _MatmulSettings:
    """Settings of CUDA's matrix products."""

    allow_tf32 = False
    allow_fp16_reduced_precision_reduction = True
    allow_bf16_reduced_precision_reduction = True


matmul = _MatmulSettings()


def is_built() -> bool:
    """False: there is no CUDA."""
    return False
