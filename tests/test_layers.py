import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = ROOT / "scripts" / "check_layers.py"


@pytest.fixture(scope="module")
def checker():
    spec = importlib.util.spec_from_file_location("check_layers", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_import_of_the_package_follows_the_order(checker, capsys):
    assert checker.main() == 0, capsys.readouterr().out


@pytest.mark.parametrize(
    ("path", "source", "problems"),
    [
        ("fakel/nn/linear.py", "from fakel import ops\nfrom fakel.tensor import Tensor", 0),
        ("fakel/ops/joining.py", "from fakel.nn import Module", 1),
        ("fakel/tensor/views.py", "def late():\n    import fakel.ops.view", 1),
        ("fakel/graph/node.py", "if TYPE_CHECKING:\n    from fakel.tensor import Tensor", 0),
        ("fakel/graph/node.py", "from fakel import Tensor", 1),
        ("fakel/elsewhere/node.py", "import numpy", 1),
        ("fakel/__init__.py", "from fakel.cli import main", 0),
    ],
)
def test_the_checker_sees_what_goes_against_the_order(checker, path, source, problems):
    assert len(list(checker.violations(source, path))) == problems
