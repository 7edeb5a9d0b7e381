"""Settings for other devices answer as PyTorch's do where there is only a CPU."""

import pytest

from tests.support.both import run_both, scripts

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@scripts(
    precision="""
        print(torch.get_float32_matmul_precision())
        for name in ("high", "medium", "nonsense", "highest"):
            torch.set_float32_matmul_precision(name)
            print(torch.get_float32_matmul_precision(), torch.backends.cuda.matmul.allow_tf32)
        torch.set_float32_matmul_precision(3)
    """,
    determinism="""
        def show():
            print(torch.are_deterministic_algorithms_enabled(),
                  torch.is_deterministic_algorithms_warn_only_enabled(),
                  torch.get_deterministic_debug_mode())
        torch.use_deterministic_algorithms(True)
        show()
        torch.use_deterministic_algorithms(True, warn_only=True)
        show()
        for mode in ("error", 1, "default", "nonsense", 5, 1.5):
            try:
                torch.set_deterministic_debug_mode(mode)
                show()
            except Exception as error:
                print(type(error).__name__, error)
        torch.use_deterministic_algorithms(False)
        show()
        torch.use_deterministic_algorithms(3)
    """,
    accelerator="""
        a = torch.accelerator
        print(a.is_available(), a.device_count(), a.current_accelerator())
        for name in ("current_device_index", "synchronize", "current_stream"):
            try:
                getattr(a, name)()
            except RuntimeError as error:
                print(name, error)
    """,
)
def test_same_as_pytorch(script):
    run_both(script)
