"""How many threads there are: limits of control groups, and OMP_NUM_THREADS."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fakel.runtime.threads import available_processors, cgroup_share

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("membership", "files", "granted"),
    [
        ("0::/\n", {}, math.inf),
        ("0::/\n", {"cpu.max": "max 100000\n"}, math.inf),
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 1.5),
        ("0::/user/job\n", {"user/job/cpu.max": "400000 100000\n"}, 4),
        (
            "0::/user/job\n",
            {"user/cpu.max": "200000 100000\n", "user/job/cpu.max": "400000 100000\n"},
            2,
        ),
        ("0::/only/on/the/host\n", {"cpu.max": "300000 100000\n"}, 3),
        ("0::/user\n", {"other/cpu.max": "300000 100000\n"}, math.inf),
        ("0::/\n", {"cpu.max": "nonsense\n"}, math.inf),
        (
            "5:memory:/a\n3:cpu,cpuacct:/job:1\n0::/\n",
            {
                "cpu,cpuacct/job:1/cpu.cfs_quota_us": "250000\n",
                "cpu,cpuacct/job:1/cpu.cfs_period_us": "100000\n",
                "cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
                "cpu,cpuacct/cpu.cfs_period_us": "100000\n",
            },
            2.5,
        ),
        (
            "3:cpu:/on/the/host\n",
            {"cpu/cpu.cfs_quota_us": "50000\n", "cpu/cpu.cfs_period_us": "100000\n"},
            0.5,
        ),
    ],
)
def test_control_groups_limit_the_processors(tmp_path, membership, files, granted):
    for name, content in files.items():
        path = tmp_path / "mounted" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    (tmp_path / "cgroup").write_text(membership)
    assert cgroup_share(tmp_path / "cgroup", tmp_path / "mounted") == granted


def test_without_control_groups(tmp_path):
    assert cgroup_share(tmp_path / "cgroup", tmp_path) == math.inf


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system has no affinity")
def test_affinity_limits_the_processors():
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        assert available_processors() == 1
    finally:
        os.sched_setaffinity(0, before)


@pytest.mark.parametrize(
    ("wanted", "count"),
    [("3", 3), ("5,2", 5), ("0", None), ("many", None), ("", None), (None, None)],
)
def test_omp_num_threads_is_respected(wanted, count):
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    if wanted is not None:
        environment["OMP_NUM_THREADS"] = wanted
    source = "from fakel.runtime.threads import get_num_threads; print(get_num_threads())"
    done = subprocess.run(
        [sys.executable, "-c", source], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert int(done.stdout) == (count or available_processors())
