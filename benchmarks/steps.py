"""Training steps of small and large networks, against the torch API only: one file for PyTorch
and fakel.

Prints one line of JSON a workload: the median and least time of a step, the first step's time,
losses.

    python benchmarks/steps.py [--compile] [names]         under PyTorch
    fakel run benchmarks/steps.py [--compile] [names]      under fakel

With --compile the step is a function under torch.compile. Nothing else differs.
"""

import argparse
import json
import re
import resource
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn


def mlp(hidden=128):
    return nn.Sequential(nn.Flatten(), nn.Linear(784, hidden), nn.ReLU(), nn.Linear(hidden, 10))


def cnn():
    return nn.Sequential(
        nn.Conv2d(1, 10, kernel_size=5),
        nn.ReLU(),
        nn.MaxPool2d(kernel_size=4),
        nn.Flatten(),
        nn.Linear(360, 128),
        nn.ReLU(),
        nn.Linear(128, 10),
    )


def cifar_bn():
    def block(inputs, outputs):
        return [
            nn.Conv2d(inputs, outputs, 3, padding=1),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.MaxPool2d(2),
        ]

    return nn.Sequential(
        *block(3, 32),
        *block(32, 64),
        *block(64, 128),
        nn.Flatten(),
        nn.Dropout(0.25),
        nn.Linear(2048, 256),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(256, 10),
    )


def alexnet():
    return nn.Sequential(
        nn.Conv2d(3, 64, 11, 4, 2),
        nn.ReLU(True),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(64, 192, 5, padding=2),
        nn.ReLU(True),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(192, 384, 3, padding=1),
        nn.ReLU(True),
        nn.Conv2d(384, 256, 3, padding=1),
        nn.ReLU(True),
        nn.Conv2d(256, 256, 3, padding=1),
        nn.ReLU(True),
        nn.MaxPool2d(3, 2),
        nn.Flatten(),
        nn.Dropout(),
        nn.Linear(256 * 36, 4096),
        nn.ReLU(True),
        nn.Dropout(),
        nn.Linear(4096, 4096),
        nn.ReLU(True),
        nn.Linear(4096, 1000),
    )


class Residual(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x):
        y = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.norm2(self.conv2(y)) + self.shortcut(x))


def resnet18():
    layers = [nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU()]
    inputs = 64
    for outputs, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        layers += [Residual(inputs, outputs, stride), Residual(outputs, outputs, 1)]
        inputs = outputs
    return nn.Sequential(*layers, nn.AvgPool2d(4), nn.Flatten(), nn.Linear(512, 10))


class CharLSTM(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(65, 64)
        self.lstm = nn.LSTM(64, 128, 2, batch_first=True)
        self.output = nn.Linear(128, 65)

    def forward(self, x):
        return self.output(self.lstm(self.embedding(x))[0]).flatten(0, 1)


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x):
        B, T, C = x.shape
        parts = self.qkv(self.norm1(x)).split(C, dim=2)
        q, k, v = (t.view(B, T, self.heads, C // self.heads).transpose(1, 2) for t in parts)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.proj(y.transpose(1, 2).contiguous().view(B, T, C))
        return x + self.mlp(self.norm2(x))


class GPT(nn.Module):
    def __init__(self, width=128, layers=4, heads=4, length=64):
        super().__init__()
        self.token, self.position = nn.Embedding(65, width), nn.Embedding(length, width)
        self.blocks = nn.Sequential(*[Block(width, heads) for _ in range(layers)])
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 65)

    def forward(self, x):
        h = self.token(x) + self.position(torch.arange(x.shape[1]))
        return self.head(self.norm(self.blocks(h))).flatten(0, 1)


def images(batch, channels, size, classes=10):
    return torch.randn(batch, channels, size, size), torch.randint(0, classes, (batch,))


def tokens(batch, length):
    return torch.randint(0, 65, (batch, length)), torch.randint(0, 65, (batch * length,))


def sgd(parameters):
    return torch.optim.SGD(parameters, lr=0.01)


def momentum(parameters):
    return torch.optim.SGD(parameters, lr=0.01, momentum=0.9)


def adam(parameters):
    return torch.optim.Adam(parameters, lr=1e-3)


WORKLOADS = {  # name: (network, batch, optimizer, steps)
    "mlp": (mlp, lambda: images(64, 1, 28), sgd, 300),
    "mlp1000": (lambda: mlp(1000), lambda: images(128, 1, 28), sgd, 100),
    "cnn": (cnn, lambda: images(64, 1, 28), sgd, 200),
    "cifar_bn": (cifar_bn, lambda: images(128, 3, 32), adam, 20),
    "lstm": (CharLSTM, lambda: tokens(32, 64), adam, 20),
    "gpt": (GPT, lambda: tokens(12, 64), adam, 40),
    "alexnet": (alexnet, lambda: images(16, 3, 224, 1000), momentum, 6),
    "resnet18": (resnet18, lambda: images(32, 3, 32), momentum, 6),
}
EARLY = 5  # steps in which programs are compiled and memory is first touched


def stepper(name):
    """The step of a workload, from the same seed every time."""
    torch.manual_seed(0)
    network, batch, optimizer, _ = WORKLOADS[name]
    model, (x, y) = network(), batch()
    optimizer = optimizer(model.parameters())

    def step():
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return step


def peak_memory():
    """MiB that this process had at most."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # bytes on macOS
    # not getrusage, whose figure begins with that of the process that started this one
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 2**10


def run(name, compiled):
    step = stepper(name)
    if compiled:
        step = torch.compile(step)
    times, losses = [], []
    for _ in range(EARLY + WORKLOADS[name][3]):
        start = time.perf_counter()
        losses.append(step().item())
        times.append((time.perf_counter() - start) * 1000)
    steady = sorted(times[EARLY:])
    median = steady[len(steady) // 2]
    result = {
        "work": name,
        "median_ms": median,
        "least_ms": steady[0],
        "first_ms": times[0],
        "warm_up_ms": sum(times[:EARLY]) - EARLY * median,
        "first_loss": losses[0],
        "loss": losses[-1],
        "peak_mib": peak_memory(),
    }
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", default=list(WORKLOADS))
    parser.add_argument("--compile", action="store_true")
    options = parser.parse_args()
    for each in options.names:
        run(each, options.compile)
