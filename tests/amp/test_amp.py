"""Mixed precision gives what PyTorch gives: dtypes and numbers of all operators, scalers, texts."""

import threading
import warnings

import numpy as np
import pytest

import fakel
from fakel.autograd.autocast import _POLICIES
from tests.support.both import execute, run_both, scripts
from tests.support.compare import flat, is_tensor
from tests.support.package import package

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def _cases():
    from tests.ops.test_operators import CASES

    names = {
        *_POLICIES,
        "mv",
        "dot",
        "outer",
        "layer_norm",
        "softmax",
        "add",
        "sum",
        "gelu",
        "norm",
    }
    return [case for case in CASES if case.name.split(".")[-1] in names]


@pytest.mark.parametrize("case", _cases(), ids=str)
def test_operators_inside_of_autocast(case, torch):
    from tests.ops.test_operators import outcome

    if "float32" not in case.dtypes:
        pytest.skip("no float32")
    with torch.autocast("cpu"):
        expected = outcome(torch, case, "float32")
    with package.autocast("cpu"):
        found = outcome(package, case, "float32")
    assert isinstance(found, Exception) == isinstance(expected, Exception), f"{found!r}"
    if isinstance(expected, Exception):
        return
    for ours, theirs in zip(flat(found), flat(expected), strict=True):
        if is_tensor(theirs):
            assert str(ours.dtype) == str(theirs.dtype)
            if theirs.is_floating_point():
                theirs = theirs.detach().float().numpy()
                # a product of bfloat16 numbers, differently rounded
                close = 0.02 * np.nanmax(np.abs(theirs), initial=1e-3)
                ours = ours.detach().float().numpy()
                np.testing.assert_allclose(ours, theirs, rtol=0.02, atol=close)


@scripts(
    dtypes_of_layers="""
        torch.manual_seed(0)
        x = torch.randn(2, 3, 8)
        layers = dict(
            linear=nn.Linear(8, 4), norm=nn.LayerNorm(8), rnn=nn.RNN(8, 4), lstm=nn.LSTM(8, 4),
            gru=nn.GRU(8, 4, 2, bidirectional=True), cell=nn.LSTMCell(8, 4),
            gru_cell=nn.GRUCell(8, 4), rnn_cell=nn.RNNCell(8, 4),
            conv=nn.Conv1d(3, 4, 2), batch=nn.BatchNorm1d(3),
            attention=nn.TransformerEncoderLayer(8, 2, 16, batch_first=True),
            several=nn.Sequential(nn.Linear(8, 8), nn.LayerNorm(8), nn.ReLU(), nn.Linear(8, 2)),
        )
        for name, layer in layers.items():
            with torch.autocast("cpu"):
                y = layer(x[0] if "cell" in name else x)
            print(name, [part.dtype for part in (y if isinstance(y, tuple) else (y,))])
            print([p.dtype for p in layer.parameters()])
    """,
    nested="""
        w = torch.ones(2, 2, requires_grad=True)
        with torch.autocast("cpu"):
            a = w @ w
            with torch.autocast("cpu", enabled=False):
                b = w @ w
            with torch.autocast("cpu", dtype=torch.float16):
                c = w @ w
            d = w @ w
            print(torch.is_autocast_enabled("cpu"), torch.is_autocast_enabled("cuda"))
        print(a.dtype, b.dtype, c.dtype, d.dtype, (w @ w).dtype, torch.is_autocast_enabled("cpu"))
        (a.sum() + d.sum()).backward()
        print(w.grad, w.grad.dtype)
        @torch.autocast("cpu")
        def product(x):
            return x @ x, x.double() @ x.double(), torch.mm(x, x, out=torch.empty(2, 2))
        print(product(w.detach()))
        print(torch.get_autocast_dtype("cpu"), torch.get_autocast_dtype("cuda"))
        print(torch.is_autocast_cache_enabled(), torch.amp.is_autocast_available("cpu"))
    """,
    a_device_that_is_not_there="""
        with torch.autocast("cuda", dtype=torch.float16):
            print((torch.ones(2, 2) @ torch.ones(2, 2)).dtype, torch.is_autocast_enabled())
        with torch.cuda.amp.autocast(enabled=False):
            print((torch.ones(2, 2) @ torch.ones(2, 2)).dtype)
        scaler = torch.cuda.amp.GradScaler()
        print(scaler.is_enabled(), scaler.get_scale(), scaler.state_dict(), scaler.scale(3))
        torch.amp.GradScaler("cuda", enabled=False).update()
        torch.autocast("cpu", dtype=torch.float32)
        try:
            torch.autocast("meta", dtype=torch.bfloat16)
        except RuntimeError as error:
            print(error)
        torch.autocast("nowhere")
    """,
    wrong_calls="""
        for call in (
            lambda: torch.autocast(3), lambda: torch.autocast("cpu")(3),
            lambda: torch.amp.GradScaler("cpu", growth_factor=1.0),
            lambda: torch.amp.GradScaler("cpu", backoff_factor=1.0),
            lambda: torch.amp.GradScaler("cpu").update(),
            lambda: torch.amp.GradScaler("cpu").scale(3),
            lambda: torch.amp.GradScaler("cpu").load_state_dict({}),
            lambda: torch.amp.GradScaler("cpu").step(None, closure=3),
            lambda: torch.amp.custom_fwd(device_type=3),
        ):
            try:
                print(call())
            except Exception as error:
                print(type(error).__name__, str(error).split(chr(10))[0])
    """,
    scaling="""
        w = torch.tensor([1.0, 2.0], requires_grad=True)
        optimizer = torch.optim.SGD([w], lr=0.1)
        scaler = torch.amp.GradScaler("cpu", init_scale=8.0, growth_interval=2)
        for factor in (1.0, float("inf"), 1.0, 1.0, 1.0, float("nan"), 2.0):
            optimizer.zero_grad()
            loss = (w * w).sum() * factor
            scaler.scale(loss).backward()
            scaler.unscale_(optimizer)
            norm = torch.nn.utils.clip_grad_norm_([w], 1.0)
            scaler.step(optimizer)
            try:
                scaler.step(optimizer)
            except RuntimeError as error:
                print(error)
            scaler.update()
            print(norm, w, scaler.get_scale(), scaler.state_dict())
        other = torch.amp.GradScaler("cpu")
        other.load_state_dict(scaler.state_dict())
        print(other.get_scale(), other.scale([torch.ones(1), (torch.ones(1),)]))
        scaler.update(3.0)
        print(scaler.get_scale())
    """,
    own_functions="""
        class Product(torch.autograd.Function):
            @staticmethod
            @torch.amp.custom_fwd(device_type="cpu", cast_inputs=torch.float32)
            def forward(ctx, x, y):
                ctx.save_for_backward(x, y)
                return x @ y
            @staticmethod
            @torch.amp.custom_bwd(device_type="cpu")
            def backward(ctx, grad):
                x, y = ctx.saved_tensors
                return grad @ y.T, x.T @ grad
        x = torch.ones(2, 2, requires_grad=True)
        with torch.autocast("cpu"):
            y = Product.apply(x.bfloat16(), x)
        y.sum().backward()
        print(y.dtype, x.grad)
    """,
)
def test_same_as_pytorch(script):
    run_both(script)


def test_training_follows_pytorch(torch):
    script = """
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(6, 16), nn.LayerNorm(16), nn.GELU(), nn.Linear(16, 3))
        optimizer = torch.optim.AdamW(net.parameters(), lr=0.01)
        x, y = torch.randn(32, 6), torch.arange(32) % 3
        for step in range(30):
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = F.cross_entropy(net(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            print(loss.item())
    """
    ours, theirs = (
        [float(line) for line in execute(script, each).splitlines()] for each in (package, torch)
    )
    # bfloat16 has eight bits
    np.testing.assert_allclose(ours, theirs, rtol=1e-2)
    assert ours[-1] < ours[0]


def test_other_threads_are_not_cast():
    seen = []
    with fakel.autocast("cpu"):
        thread = threading.Thread(
            target=lambda: seen.append((fakel.ones(2, 2) @ fakel.ones(2, 2)).dtype)
        )
        thread.start()
        thread.join()
        assert (fakel.ones(2, 2) @ fakel.ones(2, 2)).dtype is fakel.bfloat16
    assert seen == [fakel.float32]


def test_calls_are_recalled_again_afterwards():
    layer = fakel.nn.Linear(3, 3)
    x = fakel.ones(2, 3)
    for _ in range(3):
        plain = layer(x)
    with warnings.catch_warnings(), fakel.autocast("cpu"):
        assert layer(x).dtype is fakel.bfloat16
    assert layer(x).dtype is fakel.float32
    np.testing.assert_array_equal(layer(x).detach().numpy(), plain.detach().numpy())
