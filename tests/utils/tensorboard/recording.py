"""What `SummaryWriter` is asked to write, and the event files of PyTorch's as it was recorded.

python -m tests.utils.tensorboard.recording    # where PyTorch and TensorBoard are installed
"""

from __future__ import annotations

import io
import struct
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

RECORDED = Path(__file__).parent / "events.txt"
TIME = 1.5  # when all events happen


def write(torch: Any, writer: Any) -> None:
    """Writes something of everything."""
    torch.manual_seed(0)
    values = torch.arange(24.0).reshape(2, 3, 2, 2)
    writer.add_scalar("loss", 0.25, 3, TIME)
    writer.add_scalar("loss", torch.tensor([0.0]), 4, TIME)
    writer.add_scalar("loss", np.float64(1e-3), None, TIME)
    writer.add_scalar("new", 2, -1, TIME, new_style=True)
    writer.add_scalar("precise", 0.1, 1 << 40, TIME, new_style=True, double_precision=True)
    writer.add_scalars("both/parts", {"train": 1.0, "test": torch.tensor(2.0)}, 5, TIME)
    for kind in (
        "float32",
        "float64",
        "float16",
        "bfloat16",
        "int8",
        "int32",
        "int64",
        "bool",
        "complex64",
    ):
        writer.add_tensor(kind, (values[0] - 2).to(getattr(torch, kind)), 1, TIME)
    writer.add_tensor("uint8", values.to(torch.uint8), 1, TIME)
    writer.add_histogram("spread", values - 5, 1, walltime=TIME)
    writer.add_histogram("zero", torch.zeros(3), 1, walltime=TIME)
    writer.add_histogram("ten", np.arange(50.0), 1, bins=10, walltime=TIME)
    writer.add_histogram("few", np.arange(50.0), 1, bins=10, walltime=TIME, max_bins=3)
    writer.add_histogram_raw("raw", 0.0, 2.0, 3, 3.0, 5.0, [1.0, 2.0], [1, 2], 1, TIME)
    writer.add_image("picture", values[0] / 24, 1, TIME)
    writer.add_image("grey", torch.eye(3), 1, TIME, dataformats="HW")
    writer.add_image("bytes", (values[0] * 9).to(torch.uint8).permute(1, 2, 0), 1, TIME, "HWC")
    writer.add_images("several", values.repeat(5, 1, 1, 1) / 24, 1, TIME)
    writer.add_images("one channel", values[:, :1] / 24, 1, TIME)
    writer.add_audio("sound", torch.arange(-25, 25) / 32, 1, 8000, TIME)
    writer.add_text("words", "*größer*", 1, TIME)
    labels, chances = np.array([1, 0, 1, 1, 0]), np.array([0.9, 0.8, 0.3, 0.6, 0.1])
    writer.add_pr_curve("curve", labels, chances, 1, 10, walltime=TIME)
    writer.add_pr_curve("weighted", labels, chances, 1, 200, np.arange(5.0), TIME)
    writer.add_pr_curve_raw("counts", *np.arange(18.0).reshape(6, 3), 1, 3, walltime=TIME)
    writer.add_custom_scalars({"A": {"x": ["Multiline", ["loss", "new"]]}, "B": {}})
    writer.add_custom_scalars_multilinechart(["loss", "new"])
    writer.add_custom_scalars_marginchart(["a", "b", "c"], "margins", "one")
    parameters = {"rate": 0.1, "layers": 2, "name": "", "none": None}
    parameters |= {"tensor": torch.tensor([3.0]), "flag": True}
    domains = {"layers": [1, 2], "name": []}
    for name, value in parameters.items():  # the order of several is random in PyTorch
        domain = {name: domains[name]} if name in domains else None
        writer.add_hparams({name: value}, {"best": 0.5}, domain, f"run with {name}")


def events(torch: Any, summary_writer: Any) -> list[str]:
    """A line for each event that is written, file by file, with the parts that do not vary."""
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        with summary_writer(folder, purge_step=2, filename_suffix=".end") as writer:
            write(torch, writer)
        for path in sorted(Path(folder).rglob("events*")):
            parts = path.name.split(".")
            where = path.parent.relative_to(folder)
            lines.append(f"{where} {'.'.join(parts[:3])} {len(parts[3])} {parts[-1]}")
            lines += [_shown(message) for message in records(path.read_bytes())]
    return lines


def records(content: bytes) -> list[bytes]:
    """The messages of an event file; checksums are compared as part of the file's framing."""
    messages = []
    while content:
        (length,) = struct.unpack("<Q", content[:8])
        messages.append(content[8:12] + content[12 : 16 + length])
        content = content[16 + length :]
    return messages


def _shown(message: bytes) -> str:
    checksum, body, rest = message[:4], message[4:-4], message[-4:]
    fields = dict(_fields(body))
    if fields[1] != struct.pack("<d", TIME):  # the time of day
        return f"{len(body)} {body[9:].hex()}"
    start = body.find(b"\x89PNG")
    if start < 0:
        return (checksum + body + rest).hex()
    # how a picture is compressed depends on the version of zlib: its numbers count
    return f"{body[11:start].hex()[-40:-8]} {_pixels(body[start:])}"


def _pixels(png: bytes) -> str:
    from PIL import Image

    pixels = np.asarray(Image.open(io.BytesIO(png)))
    return f"{pixels.shape} {pixels.reshape(-1).tolist()}"


def _fields(message: bytes) -> list[tuple[int, bytes]]:
    """The first field of a message, which is the time."""
    return [(message[0] >> 3, message[1:9])]


def main() -> None:
    import torch
    from torch.utils.tensorboard import SummaryWriter

    RECORDED.write_text("\n".join(events(torch, SummaryWriter)) + "\n")


if __name__ == "__main__":
    main()
