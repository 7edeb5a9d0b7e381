"""Wrong indices in compiled programs raise what PyTorch raises, and spoil nothing else."""

import numpy as np
import pytest

import fakel
from fakel.compiler.executor import Compiler
from fakel.graph import flush, use_executor

BIG = 2**40
# a line that uses x (4, 3), and a wrong index i; tensors are made beforehand
WRONG = {
    "embedding": ("F.embedding(index, x)", ([0, 4], [-1, 0], [BIG, 1])),
    "index": ("x[index]", ([0, 4], [-5, 0], [BIG, 1])),
    "second dimension": ("x[:, index]", ([0, 3], [-4, 0])),
    "two indices": ("x[index, index]", ([0, 3], [-4, 1])),
    "index_select": ("x.index_select(0, index)", ([0, 4], [-1, 0], [BIG, 1])),
    "gather": ("x.gather(0, index[:, None])", ([0, 4], [-1, 0], [BIG, 1])),
    "take": ("x.take(index)", ([0, 12], [-13, 0], [BIG, -20])),
    "put": ("x.put(index, y[:, 0])", ([0, 12], [-13, 0])),
    "put added": ("x.put(index, y[:, 0], accumulate=True)", ([0, 12], [-13, 0])),
    "scatter": ("x.scatter(0, index[:, None], 1.0)", ([0, 4], [-1, 0])),
    "scatter_add": ("x.scatter_add(0, index[:, None], y[:, :1])", ([0, 4], [-1, 0])),
    "index_add": ("x.index_add(0, index, y)", ([0, 4], [-1, 0])),
    "index_copy": ("x.index_copy(0, index, y)", ([0, 4],)),
    "index_fill": ("x.index_fill(0, index, 2.0)", ([0, 4], [-5, 0])),
    "index_fill 1": ("x.index_fill(1, index, 2.0)", ([0, 3], [-4, 0])),
    "index_reduce": ("x.index_reduce(0, index, y, 'amax')", ([0, 4], [-1, 0], [BIG, 1])),
    "index_reduce mean": ("x.index_reduce(0, index, y, 'mean')", ([0, 4], [-1, 0])),
    "index_reduce alone": (
        "x.index_reduce(0, index, y, 'prod', include_self=False)",
        ([0, 4], [-1, 0], [-5, 0]),
    ),
    "index_put": ("x.index_put((index,), y)", ([0, 4], [-5, 0])),
    "one_hot": ("F.one_hot(index, 4)", ([0, 4], [-1, 0])),
    "cross_entropy": ("F.cross_entropy(y, index)", ([0, 3], [-1, 0])),
    "cross_entropy ignored": ("F.cross_entropy(y, index, ignore_index=-5)", ([-5, 3], [-1, -5])),
    "nll_loss": ("F.nll_loss(y, index)", ([0, 3], [-1, 0])),
    "nll_loss weighted": ("F.nll_loss(y, index, weight=x[0])", ([0, 3], [-1, 0])),
    "embedding_bag": ("F.embedding_bag(index[None], x)", ([0, 4], [-1, 0], [BIG, 1])),
    "embedding_bag max": ("F.embedding_bag(index[None], x, mode='max')", ([0, 4], [-1, 0])),
    "embedding_bag padded": ("F.embedding_bag(index[None], x, padding_idx=1)", ([0, 4], [-1, 0])),
    "embedding_bag flat": ("F.embedding_bag(index, x, torch.tensor([0, 1]))", ([0, 4], [-1, 0])),
    "max_unpool1d": ("F.max_unpool1d(y[:1, None, :2], index[None, None], 2)", ([0, 4], [-1, 0])),
}
CASES = [(name, values) for name, (_, wrong) in WRONG.items() for values in wrong]


@pytest.fixture
def compiled():
    """Everything is compiled at first sight."""
    flush()
    before = use_executor(Compiler(eager=True))
    yield
    flush()
    use_executor(before)


def names(package, values, known=False):
    x = package.arange(12.0).reshape(4, 3)
    index = package.tensor(values)
    index = index if known else index * 1 + 0  # pending: nothing knows its values beforehand
    return {
        "torch": package,
        "F": package.nn.functional,
        "x": x,
        "y": package.ones(2, 3),
        "index": index,
    }


@pytest.mark.filterwarnings("ignore:index_reduce:UserWarning")
@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("name, values", CASES)
def test_wrong_indices(compiled, torch, name, values, known):
    line = WRONG[name][0]
    with pytest.raises(Exception) as expected:
        eval(line, names(torch, values))
    given = names(fakel, values, known)
    with pytest.raises(Exception) as found:
        beside = given["x"] * 2
        result = eval(line, given)
        later = result.float() + 1
        flush()
        later.tolist()
    assert type(found.value) is type(expected.value), repr(found.value)
    first = str(expected.value).split("\n")[0]
    assert str(found.value).split("\n")[0] == first
    # the rest is computed, what was there is untouched, and everything can be used
    np.testing.assert_array_equal(beside.numpy(), np.arange(12.0).reshape(4, 3) * 2)
    np.testing.assert_array_equal(given["x"].numpy(), np.arange(12.0).reshape(4, 3))
    good = eval(line, {**given, "index": fakel.tensor([0, 1])})
    assert np.isfinite(good.numpy()).all()


def test_bags_are_looked_up_again_with_as_many_rows(torch):
    def found(package):
        table = package.arange(12.0).reshape(4, 3)
        starts = package.tensor([0, 1])
        bag = package.nn.functional.embedding_bag
        return [bag(package.tensor([turn, 3]), table, starts).tolist() for turn in range(4)]

    assert found(fakel) == found(torch)


def test_take_along_dim_wraps_around(torch):
    def found(package):
        x = package.arange(12.0).reshape(4, 3)
        return x.take_along_dim(package.tensor([[0], [4], [-5], [9]]), 0).tolist()

    assert found(fakel) == found(torch)


@pytest.mark.parametrize("line", ["F.embedding(index, table)", "table[index]"])
def test_a_failed_step_updates_nothing(compiled, line):
    table = fakel.ones(4, 3, requires_grad=True)
    other = fakel.ones(5, requires_grad=True)
    optimizer = fakel.optim.SGD([table, other], lr=0.5, momentum=0.9)
    space = {"F": fakel.nn.functional, "table": table}

    def step(indices):
        optimizer.zero_grad()
        found = eval(line, space | {"index": fakel.tensor(indices)})
        (found.sum() + (other * 2).sum()).backward()
        optimizer.step()

    for _ in range(3):
        step([0, 1])
    before = table.detach().numpy().copy(), other.detach().numpy().copy()
    with pytest.raises(IndexError):
        step([0, 9])
        flush()
    after = table.detach().numpy(), other.detach().numpy()
    for old, new in zip(before, after):
        assert np.isfinite(new).all()
        assert np.abs(new - old).max() <= 10  # the step's own update, or none
    optimizer.zero_grad()
    step([0, 1])
    flush()
    assert np.isfinite(table.detach().numpy()).all()
