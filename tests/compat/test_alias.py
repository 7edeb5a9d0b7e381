"""torch and torchvision as names of fakel: the same objects, and what is missing is named."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from fakel.compat import alias
from fakel.compat.version import TorchVersion, release

ROOT = Path(__file__).parents[2]


def python(source: str) -> str:
    """What a fresh process prints; this one may have PyTorch itself imported."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(source)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=60,
    )
    assert done.stderr == ""
    return done.stdout


def test_names():
    assert alias.fakel_name("torch.nn.functional") == "fakel.nn.functional"
    assert alias.fakel_name("torchvision.transforms") == "fakel.vision.transforms"
    assert alias.fakel_name("torchaudio") is None
    assert alias.torch_name("fakel.vision.models") == "torchvision.models"
    assert alias.torch_name("fakel.nn") == "torch.nn"
    assert alias.torch_name("fakel.interpreter.evaluate") is None
    assert alias.torch_name("numpy") is None


def test_identity():
    print_all = """
        from fakel.compat import install
        install()
        install()
        import sys
        import fakel
        import torch, torchvision, torch.nn, torch.nn.functional, torch.optim.lr_scheduler
        import torch.utils.data as data
        from torch.nn.modules.linear import Linear
        from torchvision import transforms, datasets, models
        pairs = [
            (torch, fakel), (torch.nn, fakel.nn), (sys.modules["torch.nn"], fakel.nn),
            (torchvision, fakel.vision), (transforms, fakel.vision.transforms),
            (Linear, fakel.nn.Linear), (data, fakel.utils.data),
            (sys.modules["torch.nn.functional"], fakel.nn.functional),
        ]
        print(all(one is other for one, other in pairs))
        print(torch.nn.__name__, torch.nn.__spec__.name, torch.__version__.startswith("2.13."))
        import importlib
        print(importlib.util.find_spec("torch.nn") is not None)
        print(importlib.import_module("torch.nn") is fakel.nn)
    """
    assert python(print_all) == "True\nfakel.nn fakel.nn True\nTrue\nTrue\n"


def test_missing_names():
    source = """
        from fakel.compat import install
        install()
        import torch
        for statement in ("torch.nothing", "torch.nn.Nothing", "torch.nn.functional.nothing",
                          "import torch.nothing", "import torch.nn.nothing.more",
                          "import torch.interpreter", "import torchvision.nothing"):
            try:
                exec(statement)
            except (AttributeError, ImportError) as error:
                print(type(error).__name__, error)
        print(hasattr(torch, "nothing"), getattr(torch, "nothing", 3))
    """
    assert python(source).splitlines() == [
        "AttributeError fakel has no torch.nothing yet",
        "AttributeError fakel has no torch.nn.Nothing yet",
        "AttributeError fakel has no torch.nn.functional.nothing yet",
        "ModuleNotFoundError fakel has no torch.nothing yet",
        "ModuleNotFoundError fakel has no torch.nn.nothing yet",
        "ModuleNotFoundError fakel has no torch.interpreter yet",
        "ModuleNotFoundError fakel has no torchvision.nothing yet",
        "False 3",
    ]


def test_notebook_extension():
    source = """
        import sys
        import fakel
        assert "torch" not in sys.modules
        fakel.load_ipython_extension(None)
        import torch
        print(torch is fakel)
        fakel.unload_ipython_extension(None)
        print("torch" in sys.modules)
    """
    assert python(source) == "True\nFalse\n"


def test_pytorch_itself_is_not_replaced():
    source = """
        import sys, types
        sys.modules["torch"] = types.ModuleType("torch")
        from fakel.compat import install
        try:
            install()
        except RuntimeError as error:
            print(error)
    """
    assert "torch itself is imported already" in python(source)


def test_version():
    version = TorchVersion("2.13.0+fakel")
    assert version >= "2.4" and version > (1, 9) and version < "2.20" and version <= (2, 13, 0)
    assert version == "2.13.0+fakel" and version != "2.13.0" and version == (2, 13)
    assert not version < "2.4" and hash(version) == hash("2.13.0+fakel")
    assert tuple(int(part) for part in version.split("+")[0].split(".")[:2]) == (2, 13)
    assert release("1.2rc1") == (1, 2) and release("git") == ()
    with pytest.raises(TypeError):
        version < 3  # noqa: B015
