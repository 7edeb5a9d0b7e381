"""A network with one hidden layer (784-128-10) learns handwritten digits.

fakel run examples/mnist_mlp.py
fakel run examples/mnist_mlp.py --data mnist --root DIR
"""

import digits
import torch
from torch import nn


def main() -> None:
    arguments = digits.options(__doc__.splitlines()[0], out="runs/mnist_mlp", epochs=15)
    torch.manual_seed(arguments.seed)
    train_loader, test_loader = digits.load(arguments, shift=1)
    model = nn.Sequential(
        nn.Flatten(),
        nn.Linear(28 * 28, 128),
        nn.ReLU(),
        nn.Linear(128, 10),
    )
    print(model)
    step_losses, test_losses = digits.train(model, train_loader, test_loader, arguments)

    digits.draw_losses(step_losses, test_losses, arguments.out / "loss.png")
    weights = model[1].weight[:40].view(-1, 28, 28)
    digits.draw_filters(weights, "What 40 hidden neurons look for", arguments.out / "filters.png")
    digits.draw_mistakes(model, test_loader, arguments.out / "mistakes.png")
    _, accuracy = digits.evaluate(model, test_loader)
    print(f"accuracy {100 * accuracy:.2f} %")


if __name__ == "__main__":
    main()
