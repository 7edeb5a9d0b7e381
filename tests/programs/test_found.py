"""Programs that random ones have found to be compiled wrongly."""

import pytest

import fakel
from tests.support.execution import check

FOUND = {
    # kernels at the end of a plan were added after others that read what they write
    "the order of kernels": """
p1 = parameter('float32', (2,), 'normal', 986)
p3 = parameter('float32', (9,), 'positive', 912)
p4 = parameter('float64', (8, 3, 8), 'normal', 896)
s5 = data('float64', (3,), 'normal', 895)
vs5 = data('float64', (3,), 'positive', 858)
p5 = parameter('float32', (), 'normal', 131)
t1 = data('float32', (5, 9, 7), 'normal', 430)
t9 = F.cross_entropy(t1, indices(0, 9, (5, 7), 936), weight=p3)
t11 = data('float64', (3,), 'constant', 864)
t12 = data('float64', (7,), 'ties', 215)[..., :6:2]
t13 = F.batch_norm(p4, s5, vs5, t11, t12, False, 0.1, 1e-5)
t16 = F.binary_cross_entropy(t9.sigmoid(), (p5 > 0).to(t9.dtype))
loss = torch.zeros(()) + (t16 * t16).mean()
loss = loss + t13.sum()
loss = loss + (p1 * p1).mean()
loss.backward()
look(p1=p1.grad)
""",
    # the interpreter lost the sign of zero, which PyTorch's kernels keep
    "the sign of zero": """
x = data('float32', (9,), 'normal', 0) * 0
look(x=torch.signbit(F.celu(x, 0.7)), y=torch.signbit(F.selu(x)), z=torch.signbit(F.elu(-x, 0.5)))
""",
}


def test_exponential_units_keep_the_sign_of_zero(torch):
    def found(package, name):
        x = package.tensor([-0.0, 0.0, -1.0])
        return package.signbit(getattr(package.nn.functional, name)(x)).tolist()

    for name in ("celu", "elu", "selu"):
        assert found(fakel, name) == found(torch, name)


@pytest.mark.parametrize("name", FOUND)
def test_they_are_compiled_rightly(name):
    check(FOUND[name])
