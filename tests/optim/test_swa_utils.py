"""Averages of weights do what PyTorch's do."""

import pytest

import fakel

torch = pytest.importorskip("torch")


def model_of(library):
    model = library.nn.Sequential(library.nn.Linear(3, 2), library.nn.BatchNorm1d(2))
    with library.no_grad():
        for number, parameter in enumerate(model.parameters()):
            count = parameter.numel()
            values = library.arange(count, dtype=library.float32).reshape(parameter.shape)
            parameter.copy_(values / count + number)
    return model


AVERAGES = {
    "mean": lambda swa: {},
    "exponential": lambda swa: {"avg_fn": swa.get_ema_avg_fn(0.9)},
    "exponential, all at once": lambda swa: {"multi_avg_fn": swa.get_ema_multi_avg_fn(0.9)},
    "mean, all at once": lambda swa: {"multi_avg_fn": swa.get_swa_multi_avg_fn()},
    "buffers": lambda swa: {"use_buffers": True},
}


@pytest.mark.parametrize("name", sorted(AVERAGES))
def test_averaged_model(name):
    values = []
    for library in (fakel, torch):
        swa = library.optim.swa_utils
        model = model_of(library)
        average = swa.AveragedModel(model, **AVERAGES[name](swa))
        for step in range(7):
            with library.no_grad():
                for parameter in model.parameters():
                    parameter.mul_(1.5).sub_(step)
            model(library.ones(4, 3) * step)
            average.update_parameters(model)
        assert average.n_averaged.item() == 7
        output = average.eval()(library.ones(2, 3))
        values.append(
            [output.tolist()] + [entry.tolist() for entry in average.state_dict().values()]
        )
    for mine, theirs in zip(*values, strict=True):
        assert fakel.tensor(mine).flatten().tolist() == pytest.approx(
            fakel.tensor(theirs).flatten().tolist(), rel=1e-5, abs=1e-5
        )


def test_update_bn():
    values = []
    for library in (fakel, torch):
        model = model_of(library)
        batches = [library.arange(12.0).reshape(4, 3) * factor for factor in (1, 2, -1)]
        library.optim.swa_utils.update_bn([(batch, 0) for batch in batches], model.eval())
        assert model[1].momentum == 0.1
        assert not model.training
        values.append(model[1].running_mean.tolist() + model[1].running_var.tolist())
    assert values[0] == pytest.approx(values[1], rel=1e-5)


@pytest.mark.parametrize("decay", [-0.1, 1.1])
def test_decay_is_a_share(decay):
    with pytest.raises(ValueError, match="Invalid decay value"):
        fakel.optim.swa_utils.get_ema_avg_fn(decay)
