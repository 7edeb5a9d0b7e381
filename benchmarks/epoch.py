"""An epoch of MNIST as tutorials write it, under fakel and under PyTorch, turn about.

    python benchmarks/epoch.py FOLDER [--rounds 3]

FOLDER holds MNIST's four IDX files, compressed with gzip or not. Every round is a process of its
own for each of the two: it trains for one epoch, takes the same batches without training, and
tests. Without PyTorch and torchvision only fakel is timed.
"""

import argparse
import gzip
import importlib.util
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

FILES = [
    f"{split}-{kind}-ubyte"
    for split in ("train", "t10k")
    for kind in ("images-idx3", "labels-idx1")
]


def epoch(root):
    """The program itself: the seconds it took, and the accuracy on the test set."""
    import torch
    from torch import nn

    # torchvision is published for CUDA and does not import beside PyTorch for the CPU unless two
    # of its operators are known.
    library = None
    if hasattr(torch, "library"):
        library = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    from torchvision import datasets, transforms

    torch.manual_seed(0)
    transform = transforms.Compose(
        [transforms.ToTensor(), transforms.Normalize((0.1307,), (0.3081,))]
    )
    train_set = datasets.MNIST(root, train=True, transform=transform)
    test_set = datasets.MNIST(root, train=False, transform=transform)
    train_loader = torch.utils.data.DataLoader(train_set, batch_size=64, shuffle=True)
    test_loader = torch.utils.data.DataLoader(test_set, batch_size=1000)

    model = nn.Sequential(
        nn.Conv2d(1, 10, kernel_size=5),
        nn.ReLU(),
        nn.MaxPool2d(kernel_size=4),
        nn.Flatten(),
        nn.Linear(360, 128),
        nn.ReLU(),
        nn.Linear(128, 10),
    )
    loss_function = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)

    start = time.perf_counter()
    for images, labels in train_loader:
        optimizer.zero_grad()
        loss = loss_function(model(images), labels)
        loss.backward()
        optimizer.step()
    last_loss = loss.item()
    whole = time.perf_counter() - start

    start = time.perf_counter()
    for _ in train_loader:
        pass
    loading = time.perf_counter() - start

    correct = 0
    with torch.no_grad():
        for images, labels in test_loader:
            correct += (model(images).argmax(1) == labels).sum().item()
    return {
        "epoch": whole,
        "loading": loading,
        "loss": last_loss,
        "accuracy": correct / len(test_set),
    }


def unpacked(folder, root):
    """Puts the files where torchvision looks for them."""
    raw = root / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name in FILES:
        packed = folder / f"{name}.gz"
        content = (
            gzip.decompress(packed.read_bytes())
            if packed.exists()
            else (folder / name).read_bytes()
        )
        (raw / name).write_bytes(content)


def measure(command, root):
    command = [*command, __file__, "--root", str(root)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def compare(folder, rounds):
    runners = {"fakel": [sys.executable, "-m", "fakel", "run"]}
    if importlib.util.find_spec("torch") and importlib.util.find_spec("torchvision"):
        runners["PyTorch"] = [sys.executable]
    results = {who: [] for who in runners}
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        unpacked(folder, root)
        for _ in range(rounds):
            for who, command in runners.items():
                results[who].append(measure(command, root))
                print(who, results[who][-1], flush=True)
    for key in ("epoch", "loading"):
        medians = {who: statistics.median(row[key] for row in results[who]) for who in runners}
        line = f"{key:8}" + "".join(f"{who:>9} {medians[who]:8.3f} s" for who in runners)
        if "PyTorch" in medians:
            line += f"   {medians['PyTorch'] / medians['fakel']:.1f} times"
        print(line)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--root", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.root:
        print(json.dumps(epoch(options.root)))
    elif options.folder:
        compare(options.folder, options.rounds)
    else:
        parser.error("which folder holds MNIST's files?")


if __name__ == "__main__":
    main()
