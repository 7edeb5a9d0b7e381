"""What the two digit examples share: the data, the training loop, the pictures."""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import torch
import torchvision
from torch import nn
from torch.utils.data import DataLoader
from torchvision import transforms
from tqdm import tqdm

plt.switch_backend("Agg")  # pictures go to files, no window is needed
BLUE, ORANGE = "#1f77b4", "#d95f02"


def options(description: str, out: str, epochs: int) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "--data",
        choices=["mini", "mnist"],
        default="mini",
        help="mini: 5,000 digits that come with fakel; mnist: all 70,000, from --root",
    )
    parser.add_argument("--root", default="data", help="the folder that holds MNIST/raw")
    parser.add_argument("--download", action="store_true", help="download MNIST to --root")
    parser.add_argument("--epochs", type=int, default=epochs)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--learning-rate", type=float, default=0.1, help="the highest")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(out), help="the folder for the pictures")
    return parser.parse_args()


def load(arguments: argparse.Namespace, shift: int = 0) -> tuple[DataLoader, DataLoader]:
    """The training set, its digits moved by up to `shift` pixels, and the test set."""
    plain = [transforms.ToTensor(), transforms.Normalize((0.1307,), (0.3081,))]
    moved = [transforms.RandomCrop(28, padding=shift), *plain] if shift else plain
    if arguments.data == "mini":
        dataset = torchvision.datasets.MiniMNIST
    else:
        dataset = torchvision.datasets.MNIST
    where = {"root": arguments.root, "download": arguments.download}
    train = dataset(train=True, transform=transforms.Compose(moved), **where)
    test = dataset(train=False, transform=transforms.Compose(plain), **where)
    print(f"{len(train)} digits for training, {len(test)} for testing")
    return (
        DataLoader(train, batch_size=arguments.batch_size, shuffle=True),
        DataLoader(test, batch_size=250),
    )


def train(
    model: nn.Module,
    train_loader: DataLoader,
    test_loader: DataLoader,
    arguments: argparse.Namespace,
) -> tuple[list[float], list[float]]:
    """Train with SGD, whose learning rate rises and falls again over the epochs.

    Returns the loss of every step, and the test loss after every epoch.
    """
    loss_function = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=arguments.learning_rate, momentum=0.9)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, arguments.learning_rate, total_steps=arguments.epochs * len(train_loader)
    )
    step_losses, test_losses = [], []
    for epoch in range(1, arguments.epochs + 1):
        model.train()
        progress = tqdm(train_loader, desc=f"epoch {epoch}", leave=False, disable=None)
        for images, labels in progress:
            optimizer.zero_grad()
            loss = loss_function(model(images), labels)
            loss.backward()
            optimizer.step()
            schedule.step()
            step_losses.append(loss.item())
            progress.set_postfix(loss=f"{step_losses[-1]:.3f}")
        test_loss, accuracy = evaluate(model, test_loader)
        test_losses.append(test_loss)
        train_loss = sum(step_losses[-len(train_loader) :]) / len(train_loader)
        print(
            f"epoch {epoch}: training loss {train_loss:.4f}, "
            f"test loss {test_loss:.4f}, accuracy {100 * accuracy:.2f} %"
        )
    return step_losses, test_losses


@torch.no_grad()
def evaluate(model: nn.Module, loader: DataLoader) -> tuple[float, float]:
    """The mean loss, and the part of the digits that are recognised."""
    model.eval()
    loss = correct = 0.0
    for images, labels in loader:
        outputs = model(images)
        loss += nn.functional.cross_entropy(outputs, labels, reduction="sum").item()
        correct += (outputs.argmax(dim=1) == labels).sum().item()
    return loss / len(loader.dataset), correct / len(loader.dataset)


def draw_losses(step_losses: list[float], test_losses: list[float], path: Path) -> None:
    steps = len(step_losses) // len(test_losses)
    width = max(steps // 10, 1)
    means = [
        sum(step_losses[start : start + width]) / len(step_losses[start : start + width])
        for start in range(0, len(step_losses), width)
    ]
    figure, axes = plt.subplots(figsize=(7, 4.2))
    axes.plot(
        [step / steps for step in range(len(step_losses))],
        step_losses,
        color=BLUE,
        alpha=0.25,
        linewidth=0.8,
        label="training, each step",
    )
    axes.plot(
        [(index + 0.5) * width / steps for index in range(len(means))],
        means,
        color=BLUE,
        label=f"training, mean of {width} steps",
    )
    axes.plot(range(1, len(test_losses) + 1), test_losses, "o-", color=ORANGE, label="test")
    axes.set(xlabel="epoch", ylabel="cross entropy", ylim=(0, max(means[0], *test_losses) * 1.05))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    _save(figure, path)


def draw_filters(weights: torch.Tensor, title: str, path: Path) -> None:
    """Weights (n, height, width) as small pictures: red adds to the output, blue takes away."""
    weights = weights.detach()
    limit = weights.abs().max().item()
    columns = 5 if len(weights) <= 10 else 8
    rows = -(-len(weights) // columns)
    figure, grid = plt.subplots(rows, columns, figsize=(1.25 * columns, 1.25 * rows + 0.5))
    for axes in grid.flat:
        axes.axis("off")
    for axes, weight in zip(grid.flat, weights):
        axes.imshow(weight.numpy(), cmap="RdBu_r", vmin=-limit, vmax=limit)
    figure.suptitle(title)
    _save(figure, path)


@torch.no_grad()
def draw_mistakes(model: nn.Module, loader: DataLoader, path: Path, most: int = 24) -> None:
    """The first digits that the model takes for others."""
    model.eval()
    mistakes = []
    for images, labels in loader:
        guesses = model(images).argmax(dim=1)
        for index in (guesses != labels).nonzero().flatten().tolist():
            mistakes.append((images[index, 0], labels[index].item(), guesses[index].item()))
    shown = mistakes[:most]
    columns = 8
    rows = max(-(-len(shown) // columns), 1)
    figure, grid = plt.subplots(rows, columns, figsize=(columns, 1.2 * rows + 0.4))
    for axes in grid.flat:
        axes.axis("off")
    for axes, (image, label, guess) in zip(grid.flat, shown):
        axes.imshow(image.numpy(), cmap="gray_r")
        axes.set_title(f"{label} → {guess}", fontsize=10)
    figure.suptitle(f"digit → what the network sees ({len(shown)} of {len(mistakes)} mistakes)")
    _save(figure, path)


def _save(figure: plt.Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)
    print(f"picture: {path}")
