"""Wrong arguments and wrong inputs of layers. Same scenario, both libraries."""

from functools import partial

import pytest

import fakel
from tests.nn.both import compare, scenarios

torch = pytest.importorskip("torch")


def convolutions(library, report):
    nn = library.nn
    report(
        lambda: nn.Conv2d(4, 6, 3, groups=0),
        lambda: nn.Conv2d(4, 6, 3, groups=3),
        lambda: nn.Conv2d(6, 4, 3, groups=3),
        lambda: nn.Conv1d(4, 6, 3, stride=2, padding="same"),
        lambda: nn.ConvTranspose2d(4, 6, 3, padding_mode="circular"),
    )
    layer = nn.ConvTranspose2d(3, 4, 3, stride=2, padding=1)
    x = library.ones(1, 3, 4, 4)
    report(layer(x, output_size=(8, 8)).shape, layer(x, output_size=[1, 4, 7, 8]).shape)
    report(lambda: layer(x, output_size=(9, 8)), lambda: layer(x, output_size=(8,)))


def normalisations(library, report):
    nn = library.nn
    report(
        lambda: nn.GroupNorm(3, 4),
        lambda: nn.BatchNorm1d(3)(library.ones(1, 3, 4, 5)),
        lambda: nn.BatchNorm2d(3)(library.ones(3, 4, 5)),
        lambda: nn.BatchNorm3d(3)(library.ones(3, 4, 5)),
        lambda: nn.InstanceNorm1d(3, affine=True)(library.ones(1, 2, 4)),
        lambda: nn.InstanceNorm2d(3)(library.ones(1, 2)),
        lambda: nn.InstanceNorm1d(3)(library.ones(1, 2, 4)),
        lambda: nn.SyncBatchNorm(3)(library.ones(2, 3)),
    )
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3, momentum=0.3))
    converted = nn.SyncBatchNorm.convert_sync_batchnorm(model)
    report(converted, converted.eval()(library.ones(2, 2)))


def small_layers(library, report):
    nn = library.nn
    report(
        lambda: nn.Dropout(1.5),
        lambda: nn.Dropout(-0.1),
        lambda: nn.Hardtanh(1, 0),
        lambda: nn.Hardtanh(min_value=-2, max_value=3),
        lambda: nn.Softmax2d()(library.ones(2)),
        lambda: nn.Unflatten(1, 3),
        lambda: nn.Unflatten(1, (2, "a")),
        lambda: nn.Bilinear(0, 1, 1),
        lambda: nn.CircularPad1d(1)(library.ones(3)),
        lambda: nn.FractionalMaxPool2d(2),
        lambda: nn.FractionalMaxPool2d(2, output_size=1, output_ratio=0.5),
        lambda: nn.FractionalMaxPool2d(2, output_ratio=1.5),
        lambda: nn.FractionalMaxPool3d(0, output_size=1),
        lambda: nn.Embedding(3, 2, padding_idx=3),
        lambda: nn.Embedding(3, 2, padding_idx=-4),
        lambda: nn.EmbeddingBag(3, 2, padding_idx=3),
        lambda: nn.Embedding(3, 2, _weight=library.ones(2, 2)),
        lambda: nn.Embedding.from_pretrained(library.ones(3)),
        lambda: nn.EmbeddingBag.from_pretrained(library.ones(3)),
        lambda: nn.AdaptiveLogSoftmaxWithLoss(4, 5, []),
        lambda: nn.AdaptiveLogSoftmaxWithLoss(4, 5, [3, 2]),
        lambda: nn.AdaptiveLogSoftmaxWithLoss(4, 5, [2, 9]),
    )
    report(nn.Softmax()(library.ones(2, 3)), nn.LogSoftmax()(library.ones(3)))
    report(nn.Embedding.from_pretrained(library.ones(3, 2)).weight)
    report(nn.Embedding.from_pretrained(library.ones(3, 2), freeze=False, padding_idx=1))


def losses(library, report):
    nn = library.nn
    report(
        lambda: nn.MultiMarginLoss(p=3),
        lambda: nn.MultiMarginLoss(weight=library.ones(2, 2)),
        lambda: nn.TripletMarginLoss(margin=0),
        lambda: nn.TripletMarginWithDistanceLoss(margin=-1),
        lambda: nn.HuberLoss(delta="1"),
        lambda: nn.MSELoss(size_average=False).reduction,
        lambda: nn.MSELoss(reduce=False).reduction,
        lambda: nn.NLLLoss2d().reduction,
    )
    weight = library.ones(3)
    report(nn.CrossEntropyLoss(weight), nn.CrossEntropyLoss(weight).state_dict().keys())


def weighted_losses(library, report):
    nn = library.nn
    scores = library.arange(12).reshape(4, 3) / 7
    target = library.tensor([0, 2, 1, 0])
    weight = library.tensor([0.5, 1.0, 2.0])
    report(nn.CrossEntropyLoss(weight)(scores, target), nn.NLLLoss(weight)(scores, target))
    report(nn.MultiMarginLoss(weight=weight)(scores, target))
    binary = (scores > 0.5).float()
    report(nn.BCEWithLogitsLoss(weight, pos_weight=weight)(scores, binary))
    report(nn.BCELoss(weight)(scores / 3, binary))
    report(nn.MultiLabelSoftMarginLoss(weight)(scores, binary))
    bag = nn.EmbeddingBag(5, 2, mode="sum")
    report(bag(library.tensor([1, 2, 3, 4]), library.tensor([0, 3])))
    report(bag(library.tensor([[1, 2]]), per_sample_weights=library.tensor([[0.5, 2.0]])))


def connectionist_temporal_classification(library, report):
    steps = (library.arange(60).reshape(5, 3, 4) % 7 / 3).log_softmax(2).requires_grad_()
    targets = library.tensor([[1, 2], [3, 3], [2, 1]])
    loss = library.nn.CTCLoss()(
        steps, targets, library.tensor([5, 4, 5]), library.tensor([2, 1, 2])
    )
    report(loss)
    loss.backward()
    report(steps.grad)


def unpooling(library, report):
    nn = library.nn
    for pool, unpool, x in (
        (nn.MaxPool1d, nn.MaxUnpool1d, library.randn(1, 2, 8)),
        (nn.MaxPool2d, nn.MaxUnpool2d, library.randn(1, 2, 8, 6)),
        (nn.MaxPool3d, nn.MaxUnpool3d, library.randn(1, 2, 4, 6, 4)),
    ):
        pooled, indices = pool(2, return_indices=True)(x)
        report(unpool(2)(pooled, indices), unpool(2)(pooled, indices, output_size=x.size()))
        too_large = (99,) * (x.dim() - 2)
        report(partial(unpool(2), pooled, indices, output_size=too_large))


def fractional_pooling(library, report):
    x = library.randn(1, 3, 6, 6)
    samples = library.rand(1, 3, 2)
    report(library.nn.FractionalMaxPool2d(2, 3, _random_samples=samples)(x))
    for wrong in (samples.double(), samples[0], samples[:, :2], samples[..., :1]):
        layer = library.nn.FractionalMaxPool2d(2, 3, _random_samples=wrong)
        report(partial(layer, x), list(layer.state_dict()))


def adaptive_softmax(library, report):
    layer = library.nn.AdaptiveLogSoftmaxWithLoss(6, 9, [3, 6])
    x = library.randn(8, 6)
    report(layer.log_prob(x), layer.predict(x), layer.predict(x * 9))
    report(lambda: layer(x, library.tensor([9] * 8)), lambda: layer(x, library.tensor([1])))
    report(lambda: layer(x[0], library.tensor([1])), lambda: layer(x, library.tensor(1)))
    report(lambda: layer(x, library.zeros(8, 1)))


@pytest.mark.parametrize("scenario", scenarios(globals()))
def test_same_as_pytorch(scenario):
    compare(scenario, fakel, torch)
