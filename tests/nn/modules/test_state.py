"""state_dict and load_state_dict. Same scenario, both libraries."""

from collections import OrderedDict

import numpy as np
import pytest

import fakel
from tests.nn.both import compare, scenarios

torch = pytest.importorskip("torch")


def network(library):
    nn = library.nn
    return nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 1, bias=False))


def saving(library, report):
    model = network(library)
    state = model.state_dict()
    report(type(state).__name__, list(state.items()), dict(state._metadata))
    report(list(model.state_dict(prefix="p.")), dict(model.state_dict(prefix="p.")._metadata))
    kept = model.state_dict(keep_vars=True)
    report(kept["0.weight"] is model[0].weight, type(state["0.weight"]).__name__)
    mine = {}
    report(model.state_dict(destination=mine) is mine, list(mine))
    report(list(model.state_dict(OrderedDict(), "q.")))
    with library.no_grad():
        model[0].bias.fill_(7)
    report(state["0.bias"])


def loading(library, report):
    source, target = network(library), network(library)
    result = target.load_state_dict(source.state_dict())
    report(repr(result), result.missing_keys, result.unexpected_keys)
    report(target.state_dict()["0.weight"], target[0].weight is source[0].weight)
    before = target[0].weight
    target.load_state_dict(source.state_dict(), assign=True)
    report(target[0].weight is before, type(target[0].weight).__name__)
    report(target[0].weight.requires_grad)
    plain = {key: value.clone() for key, value in source.state_dict().items()}
    report(repr(target.load_state_dict(plain)))


def problems(library, report):
    def attempt(change, **options):
        model = network(library)
        state = dict(model.state_dict())
        change(state)
        report(lambda: repr(model.load_state_dict(state, **options)))

    def rename(state):
        state["other.weight"] = state.pop("0.weight")
        state["0.more"] = state.pop("1.bias")
        state["top"] = state["0.bias"]

    def resize(state):
        state["0.weight"] = library.zeros(3, 3)
        state["0.bias"] = library.zeros(())

    attempt(rename)
    attempt(rename, strict=False)
    attempt(resize)
    attempt(resize, strict=False)
    attempt(lambda state: state.update({"0.bias": [1, 2, 3], "2.weight": "text"}))
    attempt(lambda state: state.pop("1.num_batches_tracked"))
    report(
        lambda: network(library).load_state_dict([1]), lambda: network(library).load_state_dict(3)
    )
    report(lambda: network(library).load_state_dict(network(library)[0].state_dict()))


def scalars(library, report):
    class Scalar(library.nn.Module):
        def __init__(self):
            super().__init__()
            self.value = library.nn.Parameter(library.zeros(()))

    model = Scalar()
    report(model.load_state_dict({"value": library.ones(1)}), model.value)
    report(lambda: model.load_state_dict({"value": library.ones(2)}))


def dtypes(library, report):
    model = network(library)
    model.load_state_dict(network(library).double().state_dict())
    report(str(model[0].weight.dtype))
    model.load_state_dict(network(library).double().state_dict(), assign=True)
    report(str(model[0].weight.dtype))


def extra_state(library, report):
    class Extra(library.nn.Module):
        loaded = None

        def get_extra_state(self):
            return {"a": 1}

        def set_extra_state(self, state):
            self.loaded = state

    model = Extra()
    report(str(model.state_dict()))
    model.load_state_dict({"_extra_state": 5})
    report(model.loaded)
    report(lambda: model.load_state_dict({}))
    report(lambda: library.nn.ReLU().load_state_dict({"_extra_state": 5}))
    report(
        lambda: library.nn.ReLU().get_extra_state(), lambda: library.nn.ReLU().set_extra_state(1)
    )


def hooks(library, report):
    model = network(library)
    model.register_state_dict_pre_hook(
        lambda module, prefix, keep_vars: report("pre", prefix, keep_vars)
    )
    model[0].register_state_dict_post_hook(
        lambda module, state, prefix, metadata: report("post", prefix, list(state), metadata)
    )
    model._register_state_dict_hook(lambda module, state, prefix, metadata: {"replaced": 1})
    report(str(model.state_dict()))
    target = network(library)

    def before(module, state, prefix, metadata, strict, missing, unexpected, errors):
        report("load", type(module).__name__, prefix, strict, sorted(state), missing, unexpected)
        state.pop(prefix + "extra", None)

    handle = target.register_load_state_dict_pre_hook(before)
    target[0]._register_load_state_dict_pre_hook(lambda *values: report(len(values), values[1]))
    target[1]._register_load_state_dict_pre_hook(lambda *values: report(len(values)), True)
    target.register_load_state_dict_post_hook(
        lambda module, keys: report("done", keys.missing_keys, keys.unexpected_keys)
    )
    state = network(library).state_dict()
    state["extra"] = library.ones(1)
    report(repr(target.load_state_dict(state)))
    handle.remove()
    target.register_load_state_dict_post_hook(lambda module, keys: 3)
    state.pop("extra")
    report(lambda: target.load_state_dict(state))
    bad = library.nn.ReLU()
    bad.register_state_dict_post_hook(lambda *values: 3)
    report(lambda: bad.state_dict())


def old_checkpoints(library, report):
    norm = library.nn.BatchNorm1d(2)
    state = dict(norm.state_dict())
    del state["num_batches_tracked"]
    report(repr(norm.load_state_dict(state)), norm.num_batches_tracked)
    instance = library.nn.InstanceNorm1d(2)
    report(lambda: instance.load_state_dict({"running_mean": library.ones(2)}))


def own_loading(library, report):
    class Renames(library.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = library.nn.Parameter(library.zeros(2))

        def _load_from_state_dict(self, state_dict, prefix, *args, **kwargs):
            if prefix + "old" in state_dict:
                state_dict[prefix + "weight"] = state_dict.pop(prefix + "old")
            super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)

    model = library.nn.Sequential(Renames())
    report(repr(model.load_state_dict({"0.old": library.ones(2)})), model[0].weight)


def strip_prefix(library, report):
    state = network(library).state_dict(prefix="module.")
    library.nn.modules.utils.consume_prefix_in_state_dict_if_present(state, "module.")
    report(list(state), dict(state._metadata))


@pytest.mark.parametrize("scenario", scenarios(globals()))
def test_same_as_pytorch(scenario):
    compare(scenario, fakel, torch)


def test_state_goes_from_pytorch_to_fakel():
    theirs = network(torch)
    theirs(torch.randn(5, 2))
    ours = network(fakel)
    ours.load_state_dict({k: fakel.tensor(v.numpy()) for k, v in theirs.state_dict().items()})
    x = np.random.default_rng(0).normal(size=(4, 2)).astype("f4")
    np.testing.assert_allclose(
        ours.eval()(fakel.tensor(x)).detach().numpy(),
        theirs.eval()(torch.tensor(x)).detach().numpy(),
        rtol=1e-5,
    )
