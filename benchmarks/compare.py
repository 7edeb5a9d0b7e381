"""Times the training steps of ``steps.py`` under fakel and under PyTorch, turn about, and prints a
table in Markdown.

    python benchmarks/compare.py [--rounds 3] [names]

Every measurement is a process of its own. Times are medians over the rounds. Fakel's cache of
kernels is empty in the first round and kept from then on. Without PyTorch, and as long as fakel has
no `torch.compile`, those columns are left out.
"""

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import fakel
from fakel.cli.doctor import features, processor
from fakel.compat import alias
from fakel.compiler.costs import operations
from fakel.graph import flush, use_executor
from fakel.interpreter import Interpreter
from fakel.profiler import machine

STEPS = Path(__file__).with_name("steps.py")
HEADINGS = (
    "network",
    "PyTorch ms",
    "fakel ms",
    "ratio",
    "compiled ms",
    "ratio",
    "of limit",
    "first step s, empty / kept cache",
    "warm-up s, empty / kept cache",
    "MiB, fakel / PyTorch",
)


class Counting(Interpreter):
    """Adds up the floating-point operations of what it runs."""

    operations = 0

    def run(self, program):
        self.operations += sum(operations(node) for node in program)
        super().run(program)


def operations_of(name):
    """Floating-point operations of one step of a workload, by the operators' definitions."""
    alias.install()
    sys.path.insert(0, str(STEPS.parent))
    steps = importlib.import_module("steps")
    step = steps.stepper(name)
    flush()
    before = use_executor(Counting())
    try:
        step().item()
    finally:
        counting = use_executor(before)
    return counting.operations


def measure(command, name, cache):
    environment = {**os.environ, "FAKEL_CACHE": cache}
    done = subprocess.run(
        [*command, name], capture_output=True, text=True, env=environment, check=False
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed on {name}:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def row(name, runners, rounds, cache):
    """A line of the table, and by how much the final losses differ."""
    results = {who: [] for who in runners}
    for _ in range(rounds):
        for who, command in runners.items():
            results[who].append(measure(command, name, cache))
    ours, theirs = results["fakel"], results.get("PyTorch")
    medians = {
        who: statistics.median(each["median_ms"] for each in found)
        for who, found in results.items()
    }

    def ratio(who):
        return f"{medians['PyTorch'] / medians[who]:.2f}" if theirs and who in medians else ""

    def shown(who):
        return f"{medians[who]:.3g}" if who in medians else ""

    def empty_and_kept(key):
        kept = [each[key] / 1e3 for each in ours[1:]]
        return f"{ours[0][key] / 1e3:.2f} / {statistics.median(kept):.2f}" if kept else ""

    limit = operations_of(name) / machine.measure().flops * 1e3
    memory = [f"{found[-1]['peak_mib']:.0f}" for found in (ours, theirs) if found]
    cells = (
        name,
        shown("PyTorch"),
        shown("fakel"),
        ratio("fakel"),
        shown("compiled"),
        ratio("compiled"),
        f"{limit / min(medians[who] for who in medians if who != 'PyTorch'):.0%}",
        empty_and_kept("first_ms"),
        empty_and_kept("warm_up_ms"),
        " / ".join(memory),
    )
    difference = abs(ours[0]["loss"] / theirs[0]["loss"] - 1) if theirs else None
    return cells, difference


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "names",
        nargs="*",
        default=["mlp", "mlp1000", "cnn", "cifar_bn", "lstm", "gpt", "alexnet", "resnet18"],
    )
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    under_fakel = [sys.executable, "-m", "fakel", "run", str(STEPS)]
    runners = {"fakel": under_fakel}
    if hasattr(fakel, "compile"):
        runners["compiled"] = [*under_fakel, "--compile"]
    if importlib.util.find_spec("torch"):
        runners["PyTorch"] = [sys.executable, str(STEPS)]
    limits = machine.measure()
    print(
        f"{processor()} ({', '.join(features())}), {limits.threads} threads: "
        f"{limits.flops / 1e9:.0f} GFLOP/s of float32 multiply-adds, "
        f"{limits.bandwidth / 1e9:.0f} GB/s\n"
    )
    print(f"| {' | '.join(HEADINGS)} |\n|{'---|' * len(HEADINGS)}")
    differences = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in options.names:
            # a cache of its own each, so that every first round starts with an empty one
            cells, difference = row(name, runners, options.rounds, f"{folder}/{name}")
            print(f"| {' | '.join(cells)} |", flush=True)
            differences[name] = difference
    if "PyTorch" in runners:
        worst = max(differences, key=differences.get)
        print(f"\nlosses after the last step differ by at most {differences[worst]:.1e} ({worst})")


if __name__ == "__main__":
    main()
