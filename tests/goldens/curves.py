"""Losses of the first steps of training: small networks on drawn data, each with its optimizer.

Everything is drawn from the one generator: the data, the weights, the order of elements, dropout.
`loss_of` is what a step computes before `backward`, so that a test may compile it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

STEPS = 50
SEED = 2


def identity(function: Callable[..., Any]) -> Callable[..., Any]:
    """Leaves a function as it is; `torch.compile` takes its place."""
    return function


def batches(torch: Any, *tensors: Any, size: int) -> Iterator[Any]:
    """Shuffled batches of a dataset, epoch after epoch."""
    data = torch.utils.data
    loader = data.DataLoader(data.TensorDataset(*tensors), batch_size=size, shuffle=True)
    while True:
        yield from loader


def steps(
    torch: Any, loss_of: Callable[..., Any], optimizer: Any, drawn: Iterator[Any], **options: Any
) -> list[float]:
    """Trains, and gives the loss of each step.

    Args:
        torch: PyTorch or fakel.
        loss_of: the loss of a batch.
        optimizer: updates the parameters.
        drawn: the batches.
        options: `clip`, the largest norm of all gradients; `scheduler`, which takes a step as well.
    """
    losses = []
    parameters = [weight for group in optimizer.param_groups for weight in group["params"]]
    for _ in range(STEPS):
        loss = loss_of(*next(drawn))
        optimizer.zero_grad()
        loss.backward()
        if "clip" in options:
            torch.nn.utils.clip_grad_norm_(parameters, options["clip"])
        optimizer.step()
        if "scheduler" in options:
            options["scheduler"].step()
        losses.append(loss.item())
    return losses


def perceptron(torch: Any, compiled: Callable[..., Any] = identity) -> list[float]:
    """Two hidden layers, SGD with momentum."""
    nn = torch.nn
    torch.manual_seed(SEED)
    x, y = torch.randn(300, 20), torch.randint(0, 5, (300,))
    net = nn.Sequential(
        nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 5)
    )
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)
    loss_of = compiled(lambda x, y: nn.functional.cross_entropy(net(x), y))
    return steps(torch, loss_of, optimizer, batches(torch, x, y, size=32))


def convolution(torch: Any, compiled: Callable[..., Any] = identity) -> list[float]:
    """Convolutions with batch normalisation, dropout, Adam."""
    nn = torch.nn
    torch.manual_seed(SEED)
    x, y = torch.randn(96, 1, 14, 14), torch.randint(0, 10, (96,))
    net = nn.Sequential(
        nn.Conv2d(1, 8, 3, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Dropout2d(0.2),
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(16 * 16, 10),
    )
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    loss_of = compiled(lambda x, y: nn.functional.cross_entropy(net(x), y))
    return steps(torch, loss_of, optimizer, batches(torch, x, y, size=16))


def recurrence(torch: Any, compiled: Callable[..., Any] = identity) -> list[float]:
    """A recurrent network that reads sequences, Adam, clipped gradients, a schedule."""
    nn = torch.nn
    torch.manual_seed(SEED)
    x = torch.randint(0, 12, (120, 10))
    y = (x.sum(1) % 4).long()

    class Reader(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(12, 16)
            self.lstm = nn.LSTM(16, 24, 2, batch_first=True, dropout=0.2)
            self.head = nn.Linear(24, 4)

        def forward(self, x: Any) -> Any:
            outputs, _ = self.lstm(self.embedding(x))
            return self.head(outputs[:, -1])

    net = Reader()
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 20, 0.5)
    loss_of = compiled(lambda x, y: nn.functional.cross_entropy(net(x), y))
    drawn = batches(torch, x, y, size=20)
    return steps(torch, loss_of, optimizer, drawn, clip=0.5, scheduler=scheduler)


def language_model(torch: Any, compiled: Callable[..., Any] = identity) -> list[float]:
    """A small GPT, AdamW with two groups of parameters, warmup and cosine."""
    nn, functional = torch.nn, torch.nn.functional
    torch.manual_seed(SEED)
    vocabulary, length, width, heads = 20, 12, 32, 4
    text = torch.randint(0, vocabulary, (600,))
    x = torch.stack([text[i : i + length] for i in range(500)])
    y = torch.stack([text[i + 1 : i + length + 1] for i in range(500)])

    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inputs, self.outputs = nn.Linear(width, 3 * width), nn.Linear(width, width)
            self.dropout = nn.Dropout(0.1)
            self.register_buffer("past", torch.tril(torch.ones(length, length)).bool())

        def forward(self, x: Any) -> Any:
            B, T, C = x.shape  # batch, time, channels
            q, k, v = (
                each.view(B, T, heads, C // heads).transpose(1, 2)
                for each in self.inputs(x).split(C, dim=2)
            )
            weights = q @ k.transpose(-2, -1) / math.sqrt(C // heads)
            weights = weights.masked_fill(~self.past[:T, :T], float("-inf"))
            weights = self.dropout(functional.softmax(weights, dim=-1))
            return self.dropout(
                self.outputs((weights @ v).transpose(1, 2).contiguous().view(B, T, C))
            )

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])
            self.attention = Attention()
            self.network = nn.Sequential(
                nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width), nn.Dropout(0.1)
            )

        def forward(self, x: Any) -> Any:
            x = x + self.attention(self.norms[0](x))
            return x + self.network(self.norms[1](x))

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tokens, self.positions = (
                nn.Embedding(vocabulary, width),
                nn.Embedding(length, width),
            )
            self.blocks = nn.ModuleList([Block(), Block()])
            self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, vocabulary, bias=False)
            self.tokens.weight = self.head.weight
            self.apply(self.start)

        def start(self, module: Any) -> None:
            if isinstance(module, (nn.Linear, nn.Embedding)):
                nn.init.normal_(module.weight, mean=0.0, std=0.02)
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)

        def forward(self, x: Any) -> Any:
            x = self.tokens(x) + self.positions(torch.arange(x.shape[1]))
            x = functional.dropout(x, 0.1, self.training)
            for block in self.blocks:
                x = block(x)
            return self.head(self.norm(x))

    net = Model()
    matrices = [weight for weight in net.parameters() if weight.dim() >= 2]
    others = [weight for weight in net.parameters() if weight.dim() < 2]
    groups = [
        {"params": matrices, "weight_decay": 0.1},
        {"params": others, "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=3e-3, betas=(0.9, 0.95))
    scheduler = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: (
            (step + 1) / 10 if step < 10 else 0.5 * (1 + math.cos(math.pi * (step - 10) / 50))
        ),
    )
    loss_of = compiled(
        lambda x, y: functional.cross_entropy(net(x).view(-1, vocabulary), y.reshape(-1))
    )
    drawn = batches(torch, x, y, size=16)
    return steps(torch, loss_of, optimizer, drawn, clip=1.0, scheduler=scheduler)


def autoencoder(torch: Any, compiled: Callable[..., Any] = identity) -> list[float]:
    """A variational autoencoder, which draws its latent numbers in each step, RMSprop."""
    nn, functional = torch.nn, torch.nn.functional
    torch.manual_seed(SEED)
    x = torch.rand(200, 30).round()
    encoder = nn.Sequential(nn.Linear(30, 24), nn.ReLU(), nn.Linear(24, 8))
    decoder = nn.Sequential(nn.Linear(4, 24), nn.ReLU(), nn.Linear(24, 30))

    def loss_of(x: Any) -> Any:
        mean, logarithm = encoder(x).chunk(2, dim=1)
        latent = mean + torch.randn_like(mean) * (0.5 * logarithm).exp()
        rebuilt = functional.binary_cross_entropy_with_logits(decoder(latent), x, reduction="sum")
        divergence = -0.5 * (1 + logarithm - mean.pow(2) - logarithm.exp()).sum()
        return (rebuilt + divergence) / x.shape[0]

    parameters = [*encoder.parameters(), *decoder.parameters()]
    optimizer = torch.optim.RMSprop(parameters, lr=2e-3)
    return steps(torch, compiled(loss_of), optimizer, batches(torch, x, size=25))


def transformer(torch: Any, compiled: Callable[..., Any] = identity) -> list[float]:
    """PyTorch's own encoder layers, with dropout at all places, NAdam."""
    nn = torch.nn
    torch.manual_seed(SEED)
    x, y = torch.randn(100, 9, 16), torch.randn(100)
    layer = nn.TransformerEncoderLayer(16, 2, 32, 0.1, "gelu", batch_first=True)
    net = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
    head = nn.Linear(16, 1)
    optimizer = torch.optim.NAdam([*net.parameters(), *head.parameters()], lr=2e-3)
    loss_of = compiled(
        lambda x, y: nn.functional.smooth_l1_loss(head(net(x).mean(1)).squeeze(1), y)
    )
    return steps(torch, loss_of, optimizer, batches(torch, x, y, size=20))


RUNS = (perceptron, convolution, recurrence, language_model, autoencoder, transformer)


def tolerances(case: str) -> dict[str, float]:
    """Rounding differs, and the steps enlarge it; see docs/numbers.md."""
    return {"relative": 1e-5}


def cases(torch: Any) -> dict[str, Callable[[], Any]]:
    """All of them."""
    return {run.__name__: lambda run=run: run(torch) for run in RUNS}
