"""A small convolutional network learns handwritten digits.

fakel run examples/mnist_cnn.py
fakel run examples/mnist_cnn.py --data mnist --root DIR
"""

import digits
import torch
from torch import nn


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(1, 10, kernel_size=5)
        self.hidden = nn.Linear(360, 128)
        self.output = nn.Linear(128, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.convolution(x))  # n, 10, 24, 24
        x = nn.functional.max_pool2d(x, 4)  # n, 10, 6, 6
        x = torch.relu(self.hidden(x.flatten(1)))  # n, 128
        return self.output(x)


def main() -> None:
    arguments = digits.options(__doc__.splitlines()[0], out="runs/mnist_cnn", epochs=5)
    torch.manual_seed(arguments.seed)
    train_loader, test_loader = digits.load(arguments)
    model = Network()
    print(model)
    step_losses, test_losses = digits.train(model, train_loader, test_loader, arguments)

    digits.draw_losses(step_losses, test_losses, arguments.out / "loss.png")
    filters = model.convolution.weight.squeeze(1)
    digits.draw_filters(filters, "The 10 learned filters", arguments.out / "filters.png")
    digits.draw_mistakes(model, test_loader, arguments.out / "mistakes.png")
    _, accuracy = digits.evaluate(model, test_loader)
    print(f"accuracy {100 * accuracy:.2f} %")


if __name__ == "__main__":
    main()
