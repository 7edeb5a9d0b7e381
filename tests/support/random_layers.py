"""The statements of random programs: matrix products, convolutions, pooling, layers, losses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.support.random_programs import FLOATS, Writer

LAYERS: dict[str, Callable[[Writer], Any]] = {}


def layer(made: Callable[[Writer], Any]) -> Callable[[Writer], Any]:
    """Registers a kind of statement."""
    LAYERS[made.__name__.strip("_")] = made
    return made


def full(tensor: Any) -> bool:
    return tensor.dtype.is_floating_point and tensor.dtype.itemsize >= 4


def of_rank(*ranks: int) -> Callable[[Any], bool]:
    return lambda tensor: full(tensor) and tensor.ndim in ranks


def source(write: Writer, ranks: tuple[int, ...], least: int = 0) -> tuple[str, Any]:
    """A tensor with one of these numbers of dimensions: one there is, or a new one."""
    names = write.tensors(of_rank(*ranks))
    if names and write.chance(60):
        name = write.choose(names[::-1])
    else:
        name = write.leaf(write.shape(write.choose(ranks), least), write.choose(FLOATS))
    return name, write.names[name]


@layer
def _product(write: Writer):
    name, x = source(write, (1, 2, 3))
    inner = x.shape[-1]
    kind = write.choose(("mm", "mm", "t", "left", "linear", "addmm", "bmm", "einsum", "mv", "own"))
    width = write.choose((1, 2, 5, 8, 10, 16, 17, 33, 64, 0))
    if kind == "mm":
        return write.result(f"{name} @ {write.new(x, (inner, width))}")
    if kind == "t":
        return write.result(f"{name} @ {write.new(x, (width, inner))}.t()")
    if kind == "left":
        if x.ndim < 2:
            return False
        return write.result(f"{write.new(x, (width, x.shape[-2]))} @ {name}")
    if kind == "linear":
        bias = f", {write.new(x, (width,))}" if write.chance(60) else ""
        relu = ".relu()" if write.chance(30) else ""
        return write.result(f"F.linear({name}, {write.new(x, (width, inner))}{bias}){relu}")
    if kind == "mv":
        return write.result(f"{name} @ {write.new(x, (inner,))}")
    if x.ndim < 2:
        return write.result(f"torch.outer({name}, {write.new(x, (width,))})")
    if kind == "own":
        return write.result(f"{name} @ {name}.transpose(-1, -2)")
    if kind == "addmm" and x.ndim == 2:
        rows = write.choose((1, x.shape[0]))
        scale = write.choose(("", ", beta=0.5, alpha=2"))
        added, other = write.new(x, (rows, width)), write.new(x, (inner, width))
        return write.result(f"torch.addmm({added}, {name}, {other}{scale})")
    if x.ndim < 3:
        return write.result(f"torch.einsum('ij,kj->ki', {name}, {write.new(x, (width, inner))})")
    if kind == "bmm":
        batch = x.shape[0] if write.chance(70) else 1
        return write.result(f"torch.matmul({name}, {write.new(x, (batch, inner, width))})")
    text = write.choose(("bij,bkj->bik", "bij,kj->bik", "bij,bij->b", "bij,bij->ij"))
    shapes = {"bk": (x.shape[0], width, inner), "kj": (width, inner), "bi": tuple(x.shape)}
    other = write.new(x, shapes[text.split(",")[1][:2]])
    return write.result(f"torch.einsum({text!r}, {name}, {other})")


@layer
def _convolution(write: Writer):
    dims = write.choose((2, 2, 2, 1, 3))
    name, x = source(write, (dims + 2,))
    groups = write.choose((1, 1, 1, 2, 3))
    channels = x.shape[1]
    if groups > 1 and channels % groups:
        groups = channels or 1
    kernel = tuple(write.choose((1, 2, 3, 3, 5)) for _ in range(dims))
    stride = tuple(write.choose((1, 1, 2, 3)) for _ in range(dims))
    padding = tuple(write.choose((0, 1, 2)) for _ in range(dims))
    dilation = tuple(write.choose((1, 1, 1, 2)) for _ in range(dims))
    width = groups * write.choose((1, 2, 3, 5, 8))
    transposed = write.chance(25)
    shape = (
        (channels, width // groups, *kernel) if transposed else (width, channels // groups, *kernel)
    )
    weight = write.new(x, shape, "normal")
    bias = write.new(x, (width,)) if write.chance(60) else "None"
    options = f"stride={stride}, padding={padding}, dilation={dilation}, groups={groups}"
    if transposed:
        return write.result(f"F.conv_transpose{dims}d({name}, {weight}, {bias}, {options})")
    after = ".relu()" if write.chance(40) else ""
    if after and dims == 2 and write.chance(50):
        size = write.choose((2, 3, 4))
        return write.result(
            f"F.max_pool2d(F.conv2d({name}, {weight}, {bias}, {options}){after}, {size})"
        )
    return write.result(f"F.conv{dims}d({name}, {weight}, {bias}, {options}){after}")


@layer
def _pooling(write: Writer):
    dims = write.choose((2, 2, 1, 3))
    name, x = source(write, (dims + 2, dims + 1), 1)
    size = tuple(write.choose((1, 2, 2, 3, 4)) for _ in range(dims))
    stride = tuple(write.choose((1, 2, 2, 3)) for _ in range(dims))
    padding = tuple(write.number(0, each // 2) for each in size)
    ceil = write.chance(30)
    kind = write.choose(("max", "max", "avg", "avg", "adaptive_avg", "adaptive_max", "indices"))
    if kind.startswith("adaptive"):
        found = tuple(write.number(1, 5) for _ in range(dims))
        return write.result(f"F.{kind}_pool{dims}d({name}, {found})")
    if kind == "avg":
        count = f", count_include_pad={write.chance(50)}"
        return write.result(
            f"F.avg_pool{dims}d({name}, {size}, {stride}, {padding}, {ceil}{count})"
        )
    dilation = write.choose((1, 1, 2))
    options = f"{size}, {stride}, {padding}, {dilation}, {ceil}"
    if kind == "indices":
        first, second = write.fresh(), write.fresh()
        return write.add(
            f"{first}, {second} = F.max_pool{dims}d({name}, {options}, return_indices=True)"
        )
    return write.result(f"F.max_pool{dims}d({name}, {options})")


@layer
def _normalisation(write: Writer):
    kind = write.choose(("batch", "batch", "layer", "group", "instance", "rms", "inference"))
    name, x = source(write, (2, 3, 4), 1)
    if kind in ("batch", "inference"):
        channels = x.shape[1]
        mean, scale, shift = (write.new(x, (channels,)) for _ in range(3))
        count = len(write.before)
        dtype = str(x.dtype).split(".")[-1]
        running = f"s{count}"
        write.state(f"{running} = data({dtype!r}, ({channels},), 'normal', {write.seed()})")
        write.state(f"v{running} = data({dtype!r}, ({channels},), 'positive', {write.seed()})")
        statistics = f"{running}, v{running}" if write.chance(70) else "None, None"
        weights = f"{scale}, {shift}" if write.chance(70) else "None, None"
        training = kind == "batch"
        if not training:
            statistics = f"{running}, v{running}"
        return write.result(f"F.batch_norm({name}, {statistics}, {weights}, {training}, 0.1, 1e-5)")
    if kind in ("layer", "rms"):
        shape = tuple(x.shape[-write.number(1, x.ndim - 1) :])
        weight = write.new(x, shape) if write.chance(70) else "None"
        if kind == "rms":
            return write.result(f"F.rms_norm({name}, {shape}, {weight})")
        bias = write.new(x, shape) if write.chance(70) else "None"
        return write.result(f"F.layer_norm({name}, {shape}, {weight}, {bias})")
    if kind == "group":
        channels = x.shape[1]
        groups = write.choose([g for g in range(1, channels + 1) if channels % g == 0] or [1])
        weight, bias = write.new(x, (channels,)), write.new(x, (channels,))
        return write.result(f"F.group_norm({name}, {groups}, {weight}, {bias})")
    return write.result(f"F.instance_norm({name})")


@layer
def _dropout(write: Writer):
    name, _ = source(write, (1, 2, 3, 4))
    return write.result(f"F.{write.choose(('dropout', 'dropout', 'alpha_dropout'))}({name}, 0.3)")


@layer
def _embedding(write: Writer):
    rows, width = write.number(1, 20), write.choose((1, 3, 8, 16, 17))
    table = write.leaf((rows, width), write.choose(FLOATS))
    shape = write.shape(write.number(0, 2))
    padding = f", padding_idx={write.number(0, rows - 1)}" if write.chance(30) else ""
    found = f"indices(0, {rows}, {shape}, {write.seed()} + turn)"
    if write.chance(20):
        offsets = f"torch.arange(0, {3 * rows}, 3)"
        flat = f"indices(0, {rows}, ({3 * rows},), {write.seed()} + turn)"
        mode = write.choose(("sum", "mean", "max"))
        return write.result(f"F.embedding_bag({flat}, {table}, {offsets}, mode={mode!r})")
    return write.result(f"F.embedding({found}, {table}{padding})")


@layer
def _classes(write: Writer):
    """Cross-entropy and its parts, with targets, weights and what is ignored."""
    name, x = source(write, (2, 3, 4), 1)
    classes = x.shape[1]
    shape = (x.shape[0], *x.shape[2:])
    target = f"indices(0, {classes}, {shape}, {write.seed()} + turn)"
    options = f"reduction={write.choose(('mean', 'sum', 'none'))!r}"
    if write.chance(30):
        options += f", weight={write.new(x, (classes,), 'positive')}"
    if write.chance(40):
        options += f", ignore_index={write.number(0, classes - 1)}"
    if write.chance(30):
        return write.result(f"F.nll_loss(F.log_softmax({name}, 1), {target}, {options})")
    if write.chance(30):
        options += ", label_smoothing=0.1"
    if write.chance(20):
        odds = f"F.softmax({write.new(x, x.shape, 'normal')}, 1)"
        options = ", ".join(each for each in options.split(", ") if "ignore" not in each)
        return write.result(f"F.cross_entropy({name}, {odds}, {options})")
    return write.result(f"F.cross_entropy({name}, {target}, {options})")


@layer
def _loss(write: Writer):
    name, x = write.pick(full)
    if name is None:
        return False
    target = write.new(x, x.shape)
    reduction = write.choose(("mean", "sum", "none"))
    text = write.choose(
        (
            "mse_loss({0}, {1}, {2})",
            "l1_loss({0}, {1}, {2})",
            "smooth_l1_loss({0}, {1}, {2})",
            "huber_loss({0}, {1}, {2}, delta=0.5)",
            "binary_cross_entropy_with_logits({0}, ({1} > 0).to({0}.dtype), {2})",
            "binary_cross_entropy({0}.sigmoid(), ({1} > 0).to({0}.dtype), {2})",
            "kl_div({0}, {1}, {2})",
            "soft_margin_loss({0}, {1}.sign(), {2})",
            "hinge_embedding_loss({0}, {1}.sign(), {2})",
        )
    )
    return write.result("F." + text.format(name, target, f"reduction={reduction!r}"))


@layer
def _attention(write: Writer):
    rank = write.choose((3, 4))
    # large scores saturate: a gradient is then nothing but the rounding errors of a difference
    name = write.leaf(write.shape(rank), write.choose(FLOATS), write.choose(("normal", "ties")))
    x = write.names[name]
    *lead, length, width = x.shape
    other = write.choose((1, 3, 8, 17))
    keys = write.new(x, (*lead, other, width), "normal")
    contents = write.new(x, (*lead, other, write.choose((1, 4, 8, width))), "normal")
    option = write.choose(("", ", is_causal=True", ", attn_mask={}", ", scale=0.5"))
    mask = f"{write.new(x, (length, other), 'normal')} > -0.5" if "{}" in option else ""
    return write.result(
        f"F.scaled_dot_product_attention({name}, {keys}, {contents}{option.format(mask)})"
    )


@layer
def _recurrent(write: Writer):
    name, x = source(write, (3,), 1)
    if str(x.dtype) != "torch.float32" or x.shape[0] > 9 or not x.shape[-1]:
        return False
    hidden = write.choose((1, 3, 8))
    kind = write.choose(("LSTM", "GRU", "RNN"))
    options = f"bidirectional={write.chance(30)}, num_layers={write.number(1, 2)}"
    module = f"m{len(write.before)}"
    write.state(f"torch.manual_seed({write.seed()})")
    write.state(f"{module} = nn.{kind}({x.shape[-1]}, {hidden}, {options})")
    return write.result(f"{module}({name})[0]")


@layer
def _resample(write: Writer):
    name, x = source(write, (4,), 1)
    kind = write.choose(("nearest", "bilinear", "shuffle", "unfold"))
    if kind == "shuffle":
        return x.shape[1] % 4 == 0 and write.result(f"F.pixel_shuffle({name}, 2)")
    if kind == "unfold":
        return write.result(f"F.unfold({name}, 2, padding=1, stride={write.number(1, 2)})")
    return write.result(f"F.interpolate({name}, scale_factor=2, mode={kind!r})")
