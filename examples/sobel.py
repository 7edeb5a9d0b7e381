"""Finds the edges in a picture with two small convolutions, Sobel's kernels.

fakel run examples/sobel.py [--image picture.png] [--out runs/sobel]
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw

# How the brightness changes from left to right; transposed, from top to bottom.
SOBEL = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]])


def default_picture() -> Image.Image:
    """A house under the sun."""
    picture = Image.new("RGB", (320, 240), (90, 140, 200))
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, 180, 320, 240), fill=(90, 150, 80))
    draw.ellipse((240, 20, 290, 70), fill=(255, 235, 120))
    draw.rectangle((80, 110, 200, 200), fill=(220, 190, 150))
    draw.polygon([(65, 110), (140, 50), (215, 110)], fill=(170, 70, 60))
    draw.rectangle((125, 150, 155, 200), fill=(110, 70, 50))
    draw.rectangle((92, 128, 115, 150), fill=(180, 220, 250))
    draw.rectangle((165, 128, 188, 150), fill=(180, 220, 250))
    return picture


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--image", type=Path, help="a picture; by default one is drawn")
    parser.add_argument("--out", type=Path, default=Path("runs/sobel"))
    arguments = parser.parse_args()

    picture = Image.open(arguments.image) if arguments.image else default_picture()
    image = torch.from_numpy(np.array(picture.convert("RGB"))).float() / 255  # height, width, 3
    grey = image.permute(2, 0, 1).mean(dim=0)  # height, width
    batch = grey.unsqueeze(0).unsqueeze(0)  # 1, 1, height, width

    kernels = torch.stack([SOBEL, SOBEL.t()]).unsqueeze(1)  # 2, 1, 3, 3
    slopes = torch.nn.functional.conv2d(batch, kernels)  # 1, 2, height - 2, width - 2
    edges = slopes.pow(2).sum(dim=1).sqrt().squeeze(0)
    edges = edges / edges.max()

    arguments.out.mkdir(parents=True, exist_ok=True)
    picture.save(arguments.out / "image.png")
    Image.fromarray((255 * edges).byte().numpy()).save(arguments.out / "edges.png")
    print(f"{tuple(grey.shape)} -> {tuple(edges.shape)}, mean edge {edges.mean().item():.4f}")
    print(f"pictures: {arguments.out / 'image.png'}, {arguments.out / 'edges.png'}")


if __name__ == "__main__":
    main()
