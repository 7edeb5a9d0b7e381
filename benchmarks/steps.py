"""Training steps of small and large networks, against the torch API only: one file for PyTorch
and fakel.

Prints one line of JSON a workload: the median and least time of a step, the first step's time,
losses.

    python benchmarks/steps.py [names]         under PyTorch
    fakel run benchmarks/steps.py [names]      under fakel
"""

import json
import sys
import time

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


def images(batch, channels, size):
    return torch.randn(batch, channels, size, size), torch.randint(0, 10, (batch,))


def tokens(batch, length):
    return torch.randint(0, 65, (batch, length)), torch.randint(0, 65, (batch * length,))


def sgd(parameters):
    return torch.optim.SGD(parameters, lr=0.01)


def adam(parameters):
    return torch.optim.Adam(parameters, lr=1e-3)


WORKLOADS = {  # name: (network, batch, optimizer, steps)
    "mlp": (mlp, lambda: images(64, 1, 28), sgd, 300),
    "mlp1000": (lambda: mlp(1000), lambda: images(128, 1, 28), sgd, 100),
    "cnn": (cnn, lambda: images(64, 1, 28), sgd, 200),
    "cifar_bn": (cifar_bn, lambda: images(128, 3, 32), adam, 20),
    "lstm": (CharLSTM, lambda: tokens(32, 64), adam, 20),
    "gpt": (GPT, lambda: tokens(12, 64), adam, 40),
}


def run(name):
    torch.manual_seed(0)
    network, batch, optimizer, steps = WORKLOADS[name]
    model, (x, y) = network(), batch()
    optimizer = optimizer(model.parameters())

    def step():
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss.item()

    start = time.perf_counter()
    first_loss = step()
    first = time.perf_counter() - start
    for _ in range(max(3, steps // 10)):
        step()
    times = []
    for _ in range(steps):
        start = time.perf_counter()
        loss = step()
        times.append((time.perf_counter() - start) * 1000)
    times.sort()
    result = {
        "work": name,
        "median_ms": times[len(times) // 2],
        "least_ms": times[0],
        "first_ms": first * 1000,
        "first_loss": first_loss,
        "loss": loss,
    }
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    for each in sys.argv[1:] or WORKLOADS:
        run(each)
