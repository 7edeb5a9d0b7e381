"""Times the training steps of ``steps.py`` under fakel and under PyTorch, turn about, and prints
a table.

    python benchmarks/compare.py [--rounds 3] [names]

Every round is a process of its own for each of the two; the table shows medians over the rounds.
Without PyTorch only fakel's times are shown.
"""

import argparse
import importlib.util
import json
import platform
import statistics
import subprocess
import sys
from pathlib import Path

STEPS = Path(__file__).with_name("steps.py")


def measure(command, name):
    done = subprocess.run([*command, str(STEPS), name], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed on {name}:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "names", nargs="*", default=["mlp", "mlp1000", "cnn", "cifar_bn", "lstm", "gpt"]
    )
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    runners = {"fakel": [sys.executable, "-m", "fakel", "run"]}
    if importlib.util.find_spec("torch"):
        runners["PyTorch"] = [sys.executable]
    print(
        f"{platform.processor() or platform.machine()}, Python {platform.python_version()}, "
        "milliseconds a step"
    )
    print(
        f"{'':10}"
        + "".join(f"{who:>10}" for who in runners)
        + f"{'ratio':>8}{'first step':>12}{'loss differs by':>18}"
    )
    for name in options.names:
        results = {who: [] for who in runners}
        for _ in range(options.rounds):
            for who, command in runners.items():
                results[who].append(measure(command, name))
        medians = {
            who: statistics.median(r["median_ms"] for r in rows) for who, rows in results.items()
        }
        line = f"{name:10}" + "".join(f"{medians[who]:10.3f}" for who in runners)
        first = statistics.median(r["first_ms"] for r in results["fakel"])
        if "PyTorch" in medians:
            ours, theirs = results["fakel"][0]["loss"], results["PyTorch"][0]["loss"]
            ratio, difference = medians["PyTorch"] / medians["fakel"], abs(ours / theirs - 1)
            line += f"{ratio:8.2f}{first:12.0f}{difference:18.1e}"
        else:
            line += f"{'':8}{first:12.0f}"
        print(line, flush=True)


if __name__ == "__main__":
    main()
