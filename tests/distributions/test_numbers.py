"""All distributions give what PyTorch gave: samples, gradients, densities, texts, errors."""

import json
import warnings

import pytest

import fakel
from tests.goldens import cases, load, tolerances
from tests.goldens.values import assert_same

GOLDEN = load("distributions")
CASES = cases("distributions", fakel)

# samples come from PyTorch's own numbers by the same steps; only the last bits of functions differ
SAMPLES = ("sample", "rsample", "sample of expanded")
CLOSE = {"relative": 2e-6, "absolute": 1e-6}

BETTER_HERE = {
    ("Wishart", "gradient of rsample"): "PyTorch refuses it: it has written into its own mask",
    ("Wishart of a factor", "gradient of rsample"): "likewise",
}


@pytest.mark.parametrize("name", GOLDEN)
def test_what_pytorch_gave(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        found = json.loads(json.dumps(CASES[name]()))
    recorded = GOLDEN[name]
    if not isinstance(recorded, dict):
        assert_same(found, recorded, **tolerances("distributions", name))
        return
    assert list(found) == list(recorded)
    for question, answer in recorded.items():
        if (name, question) in BETTER_HERE:
            continue
        close = question in SAMPLES and not name.endswith("float64")
        tolerance = CLOSE if close else tolerances("distributions", name)
        assert_same(found[question], answer, **tolerance)


def test_every_public_name_is_there(torch):
    for module in ("distributions", "distributions.constraints", "distributions.transforms"):
        ours, theirs = fakel, torch
        for part in module.split("."):
            ours, theirs = getattr(ours, part), getattr(theirs, part)
        assert set(ours.__all__) == set(theirs.__all__), module


def test_import_of_fakel_leaves_them_out():
    import subprocess
    import sys

    code = "import sys, fakel; sys.exit('fakel.distributions' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
