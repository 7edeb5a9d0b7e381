"""What PyTorch's parser of arguments says to calls that fit no signature, for every function."""

import random

import numpy as np
import pytest

import fakel
from fakel.ops.refusals import refusal, type_name
from fakel.ops.signatures import signatures

CALLS = 25  # wrong calls of each function


class Unknown:
    """What no parameter takes."""


def paths():
    """The paths of all functions that have signatures."""
    for namespace in ("torch", "nn.functional", "linalg", "fft", "special", "Tensor"):
        here = fakel
        for part in namespace.removeprefix("torch").split("."):
            here = getattr(here, part) if part else here
        yield from (
            f"{namespace}.{name}"
            for name in sorted(dir(here))
            if not name.startswith("_") and signatures(f"{namespace}.{name}")
        )


def values(module):
    """Arguments of all kinds, as the package has them."""
    return [
        *(Unknown(), 1, 0, -2, 1.5, True, None, "a", 1j, [], (), [1], (1, 2), [1, "a"], ["a"]),
        *((1.5,), [1.5, 2], np.float32(1), np.int64(2), np.ones(2), {}, int, float, Unknown),
        *(module.ones(2), module.ones(2, 2).long(), module.tensor(1), module.tensor(1.0)),
        *([module.ones(2)], (module.ones(2), 1), module.float32, module.strided),
        *(module.channels_last, module.device("cpu"), module.Generator(), module.Size([2])),
        module.nn.Parameter(module.ones(2)),
    ]


def wrong_calls(path):
    """Positions of values, and names with positions, one of which is what nothing takes."""
    draw = random.Random(path)
    count = len(values(fakel))
    names = sorted({each.name for form in signatures(path) for each in form.parameters})
    for _ in range(CALLS):
        args = [draw.randrange(count) for _ in range(draw.choice([0, 1, 1, 2, 2, 3, 4]))]
        chosen = draw.sample([*names, "unknown"], min(draw.choice([0, 0, 1]), len(names)))
        kwargs = {name: draw.randrange(count) for name in chosen}
        if args and not kwargs:
            args[draw.randrange(len(args))] = 0
        elif not kwargs:
            args = [0]
        else:
            kwargs[chosen[0]] = 0
        yield args, kwargs


@pytest.mark.parametrize("path", list(paths()))
def test_texts_are_those_of_pytorch(torch, path):
    namespace, _, name = path.rpartition(".")
    here = torch
    for part in namespace.removeprefix("torch").split("."):
        here = getattr(here, part) if part else here
    first = [torch.ones(2)] if namespace == "Tensor" else []
    theirs, ours = values(torch), values(fakel)
    for args, kwargs in wrong_calls(path):
        found = refusal(path, tuple(ours[a] for a in args), {n: ours[k] for n, k in kwargs.items()})
        if found is None:
            continue  # it fits; what is wrong is a value
        with pytest.raises(type(found)) as caught:
            getattr(here, name)(
                *first, *[theirs[a] for a in args], **{n: theirs[k] for n, k in kwargs.items()}
            )
        assert str(found) == str(caught.value)


def test_names_of_types():
    assert type_name(np.ones(1)) == "numpy.ndarray"
    assert type_name(fakel.Generator()) == "torch._C.Generator"
    assert type_name(fakel.nn.Linear(1, 1)) == "Linear"
    assert type_name(1.5) == "float"
