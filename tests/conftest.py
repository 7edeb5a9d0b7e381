"""What every test shares: one thread, repeatable property tests, PyTorch as the oracle."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

import pytest
from hypothesis import HealthCheck, settings

pytest.register_assert_rewrite(
    "tests.support.both", "tests.support.compare", "tests.goldens.values"
)

settings.register_profile(
    "fakel",
    deadline=None,  # a slow machine is no bug
    derandomize=True,
    max_examples=100,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("fakel")


@pytest.fixture(scope="session")
def torch():
    """PyTorch, as the oracle; the test is skipped where it is not installed."""
    oracle = pytest.importorskip("torch")
    oracle.set_num_threads(1)
    return oracle


def pytest_terminal_summary(terminalreporter):
    """Shows what tests counted: `record_property("summary", "500 graphs")`."""
    reports = [r for kind in ("passed", "failed") for r in terminalreporter.stats.get(kind, ())]
    lines = [v for report in reports for k, v in report.user_properties if k == "summary"]
    if lines:
        terminalreporter.section("counts")
        for line in lines:
            terminalreporter.write_line(line)
