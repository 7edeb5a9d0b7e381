"""The statements of random programs: elementwise, reductions, views, writes, joins, indexing."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from tests.support.random_programs import DTYPES, FLOATS, Writer

STATEMENTS: dict[str, Callable[[Writer], Any]] = {}


def statement(made: Callable[[Writer], Any]) -> Callable[[Writer], Any]:
    """Registers a kind of statement: adds lines to a program, and says whether it could."""
    STATEMENTS[made.__name__.strip("_")] = made
    return made


def has_dims(tensor: Any) -> bool:
    return tensor.ndim > 0


UNARY = """
    neg abs exp log sqrt rsqrt reciprocal relu sigmoid tanh square floor ceil round trunc erf erfc
    sin cos tan asin acos atan sinh cosh asinh acosh atanh log1p expm1 log2 log10 exp2 sign isnan
    isinf isfinite logical_not frac nan_to_num erfinv sinc positive clone detach
    isposinf isneginf signbit deg2rad rad2deg
    """.split()
ACTIVATIONS = """
    gelu({}) gelu({},approximate='tanh') silu({}) softplus({}) softplus({},2.0,1.0) elu({})
    elu({},0.5) leaky_relu({}) leaky_relu({},-0.1) hardtanh({}) hardtanh({},-0.5,0.25) hardswish({})
    hardsigmoid({}) mish({}) selu({}) celu({},0.7) relu6({}) tanhshrink({}) hardshrink({},0.3)
    softshrink({},0.3) threshold({},0.1,-2.0) softsign({}) logsigmoid({}) relu({})
    """.split()
BINARY = """
    add sub mul div maximum minimum lt le eq ne gt ge logical_and logical_or logical_xor atan2 fmod
    remainder hypot copysign fmax fmin floor_divide pow xlogy logaddexp true_divide heaviside
    """.split()
WHOLE_BINARY = "add sub mul maximum minimum bitwise_and bitwise_or bitwise_xor lt ge eq".split()


@statement
def _unary(write: Writer):
    name, _ = write.pick()
    return write.result(f"torch.{write.choose(UNARY)}({name})")


@statement
def _activation(write: Writer):
    name, _ = write.floating()
    return name and write.result("F." + write.choose(ACTIVATIONS).format(name))


@statement
def _binary(write: Writer):
    name, x = write.pick()
    if write.chance(25):
        other = write.choose(("2", "0.5", "-3", "1.5", "True"))
    elif write.chance(50):
        other, _ = write.pick(lambda y: _broadcasts(x.shape, y.shape))
    else:
        other = write.like(x)
    if other is None:
        return False
    pair = (other, name) if write.chance(30) else (name, other)
    return write.result(f"torch.{write.choose(BINARY)}({pair[0]}, {pair[1]})")


def _broadcasts(a: Any, b: Any) -> bool:
    return all(m == n or m == 1 or n == 1 for m, n in zip(a[::-1], b[::-1]))


@statement
def _whole_numbers(write: Writer):
    name, x = write.pick(lambda t: not t.is_floating_point())
    if name is None:
        return False
    other = write.like(x) if write.chance(70) else str(write.number(0, 7))
    function = write.choose(WHOLE_BINARY)
    if write.chance(20):
        return write.result(
            f"{name} // ({other}).abs().add(1)" if other[0] == "t" else f"{name} % 5"
        )
    return write.result(f"torch.{function}({name}, {other})")


@statement
def _operator(write: Writer):
    name, x = write.pick()
    operation = write.choose(("+", "-", "*", "/", "//", "%", "**"))
    number = write.choose(("2", "3", "0.5", "1.25", "-1.5"))
    pair = (number, name) if write.chance(30) else (name, number)
    return write.result(f"{pair[0]} {operation} {pair[1]}")


@statement
def _of_three(write: Writer):
    name, x = write.floating()
    if name is None:
        return False
    y, z = write.like(x), write.like(x)
    expression = write.choose(
        (
            "torch.where({0} > {1}, {1}, {2})",
            "torch.where({0} > 0, {1}, 0.5)",
            "torch.addcmul({0}, {1}, {2}, value=0.5)",
            "torch.addcdiv({0}, {1}, {2}, value=-1.5)",
            "torch.lerp({0}, {1}, {2})",
            "torch.lerp({0}, {1}, 0.3)",
            "torch.add({0}, {1}, alpha=3)",
            "torch.sub({0}, {1}, alpha=0.5)",
            "torch.clamp({0}, {1}, {2})",
            "{0}.masked_fill({1} > 0, 2.0)",
        )
    )
    return write.result(expression.format(name, y, z))


@statement
def _clamp(write: Writer):
    name, _ = write.pick()
    bounds = write.choose(("-1, 1", "min=0", "max=0.5", "0.25, 2.0", "-0.5, None"))
    return write.result(f"{name}.clamp({bounds})")


@statement
def _cast(write: Writer):
    name, x = write.pick()
    dtype = write.choose(DTYPES)
    if x.is_floating_point() and not dtype.startswith(("float", "bfloat", "bool")):
        # beyond an integer's range, C leaves open what a conversion gives
        return write.result(f"{name}.nan_to_num(0, 9, 3).clamp(0, 100).to(torch.{dtype})")
    return write.result(f"{name}.to(torch.{dtype})")


# ------------------------------------------------------------------------ reductions


@statement
def _reduce(write: Writer):
    name, x = write.pick()
    dims = tuple(write.some(range(x.ndim)))
    keep = write.chance(40)
    function = write.choose(
        ("sum", "sum", "mean", "mean", "amax", "amin", "var", "std", "logsumexp", "norm", "all")
        + ("any", "count_nonzero", "nansum")
    )
    if not x.is_floating_point() and function in ("mean", "var", "std", "logsumexp", "norm"):
        function = "sum"
    if write.chance(30) and function not in ("logsumexp",):
        return write.result(f"{name}.{function}()")
    if not dims:
        return False
    if function in ("all", "any"):
        return write.result(f"{name}.{function}({dims[0]}, keepdim={keep})")
    if function == "count_nonzero":
        return write.result(f"torch.count_nonzero({name}, {dims})")
    if function in ("var", "std"):
        correction = write.choose((0, 1))
        return write.result(f"{name}.{function}({dims}, correction={correction}, keepdim={keep})")
    if function == "norm":
        order = write.choose(("2", "1", "float('inf')", "3"))
        return write.result(f"torch.linalg.vector_norm({name}, {order}, {dims}, keepdim={keep})")
    return write.result(f"{name}.{function}({dims}, keepdim={keep})")


@statement
def _along(write: Writer):
    name, x = write.pick(has_dims)
    if name is None:
        return False
    dim = write.number(-x.ndim, x.ndim - 1)
    function = write.choose(
        ("cumsum", "cumprod", "argmax", "argmin", "prod", "max", "min", "sort", "median", "cummax")
        + ("logcumsumexp", "topk", "flip")
    )
    if function in ("max", "min", "sort", "median", "cummax"):
        if write.chance(50):
            first, second = write.fresh(), write.fresh()
            return write.add(f"{first}, {second} = {name}.{function}(dim={dim})")
        return write.result(f"{name}.{function}(dim={dim})[0]")
    if function == "topk":
        return write.result(f"{name}.topk({write.number(0, x.shape[dim])}, dim={dim})[0]")
    if function == "flip":
        return write.result(f"{name}.flip({dim})")
    return write.result(f"{name}.{function}(dim={dim})")


@statement
def _softmax(write: Writer):
    name, x = write.floating(has_dims)
    if name is None:
        return False
    function = write.choose(("softmax", "log_softmax", "softmin"))
    return write.result(f"F.{function}({name}, dim={write.number(-x.ndim, x.ndim - 1)})")


# ------------------------------------------------------------------------ views


def view_of(write: Writer, name: str, x: Any) -> str | None:
    """An expression for a view of a tensor."""
    kind = write.choose(
        ("transpose", "permute", "slice", "step", "select", "unsqueeze", "squeeze", "expand")
        + ("reshape", "flatten", "unfold", "diagonal", "movedim", "narrow", "strided", "unflatten")
    )
    n = x.ndim
    if kind == "unsqueeze":
        return f"{name}.unsqueeze({write.number(0, n)})"
    if kind == "expand":
        shape = tuple(write.number(1, 5) if size == 1 else size for size in x.shape)
        lead = (write.number(0, 4),) if write.chance(50) else ()
        return f"{name}.expand({(*lead, *shape)})"
    if kind == "flatten":
        return f"{name}.flatten()"
    if kind == "squeeze":
        return f"{name}.squeeze()"
    if kind == "reshape":
        return f"{name}.reshape({_factors(write, x.numel())})"
    if kind == "strided":
        return _strided(write, name, x)
    if not n:
        return None
    dim = write.number(0, n - 1)
    size = x.shape[dim]
    if kind == "transpose":
        return f"{name}.transpose({dim}, {write.number(0, n - 1)})"
    if kind == "permute":
        return f"{name}.permute({tuple(write.random.sample(range(n), n))})"
    if kind in ("slice", "step"):
        start, stop = write.number(0, size), write.number(0, size)
        step = write.number(1, 3) if kind == "step" else 1
        place = ":, " * dim + f"{min(start, stop)}:{max(start, stop)}:{step}"
        return f"{name}[{place}]"
    if kind == "narrow":
        start = write.number(0, size)
        return f"{name}.narrow({dim}, {start}, {write.number(0, size - start)})"
    if kind == "select":
        return f"{name}.select({dim}, {write.number(0, size - 1)})" if size else None
    if kind == "unfold":
        return (
            f"{name}.unfold({dim}, {write.number(1, size)}, {write.number(1, 3)})" if size else None
        )
    if kind == "movedim":
        return f"{name}.movedim({dim}, {write.number(0, n - 1)})"
    if kind == "unflatten":
        return f"{name}.unflatten({dim}, {_factors(write, size)})" if size else None
    other = write.number(0, n - 1)
    return f"{name}.diagonal({write.number(-1, 1)}, {dim}, {other})" if dim != other else None


def _factors(write: Writer, count: int) -> tuple[int, ...]:
    if not count:
        return write.choose(((0,), (0, 3), (2, 0)))
    shape = []
    while count > 1 and write.chance(60):
        divisors = [d for d in range(1, min(count, 70) + 1) if count % d == 0]
        shape.append(write.choose(divisors))
        count //= shape[-1]
    return (*shape, count)


def _strided(write: Writer, name: str, x: Any) -> str | None:
    """A view of a contiguous tensor with strides of its own."""
    if not x.is_contiguous() or not x.numel():
        return None
    room = x.numel() - 1
    shape, strides = [], []
    for _ in range(write.number(0, 3)):
        stride = write.number(0, 6)
        size = write.number(1, 6)
        while size > 1 and (size - 1) * stride > room:
            size -= 1
        shape.append(size)
        strides.append(stride)
        room -= (size - 1) * stride
    offset = write.number(0, room)
    # the offset is from the start of the storage
    whole = f"{name}.clone()" if x._base is not None else name
    return f"{whole}.as_strided({tuple(shape)}, {tuple(strides)}, {offset})"


@statement
def _view(write: Writer):
    name, x = write.pick()
    return write.result(view_of(write, name, x))


@statement
def _order(write: Writer):
    name, x = write.pick(lambda t: t.ndim > 1)
    if name is None:
        return False
    kind = write.choose(("contiguous", "tril", "triu", "roll", "flip", "clone", "repeat"))
    argument = {
        "tril": str(write.number(-2, 2)),
        "triu": str(write.number(-2, 2)),
        "roll": f"{write.number(-3, 3)}, {write.number(0, x.ndim - 1)}",
        "flip": f"({write.number(0, x.ndim - 1)},)",
        "repeat": str(tuple(write.number(0, 3) for _ in range(x.ndim))),
    }.get(kind, "")
    return write.result(f"{name}.{kind}({argument})")


# ------------------------------------------------------------------------ writes


@statement
def _write(write: Writer):
    """An in-place operation, through a view or not."""
    name, x = write.pick(lambda t: not (t.requires_grad and t.is_leaf))
    if name is None:
        return False
    place, part = name, x
    for _ in range(write.number(0, 2)):
        found = view_of(write, place, part)
        if found is None or "clone" in found or "reshape" in found or "flatten" in found:
            continue
        try:
            part = eval(found, write.names)
        except Exception:
            return False
        place = found
    kind = write.choose(
        ("add", "mul", "fill", "zero", "copy", "sub", "clamp", "masked", "relu", "div", "lerp")
        + ("item", "addcmul", "neg", "exp")
    )
    if kind in ("add", "mul", "sub", "div"):
        other = write.choose(("2", "0.5", "new", "new"))
        other = write.like(part) if other == "new" else other
        return write.add(f"{place}.{kind}_({other})")
    if kind == "copy":
        return write.add(f"{place}.copy_({write.like(part)})")
    if kind == "fill":
        return write.add(f"{place}.fill_({write.choose(('2', '0.5', '-1'))})")
    if kind == "clamp":
        return write.add(f"{place}.clamp_(-0.5, 1)")
    if kind == "masked":
        return write.add(f"{place}.masked_fill_({write.new(part, part.shape)} > 0, 3)")
    if kind in ("lerp", "addcmul"):
        y, z = write.new(part, part.shape), write.new(part, part.shape)
        return write.add(f"{place}.{kind}_({y}, {z})")
    if kind == "item":
        return write.add(f"{place}[...] = {write.choose(('1', '0.5'))}")
    return write.add(f"{place}.{kind}_()")


@statement
def _write_self(write: Writer):
    """A tensor gets values of its own: the right side is read before anything is written."""
    name, x = write.pick(lambda t: t.ndim > 0 and not (t.requires_grad and t.is_leaf))
    if name is None or x.shape[0] < 2:
        return False
    return write.add(
        write.choose(
            (
                "{0}[1:] = {0}[:-1].clone()",
                "{0}[1:] += {0}[:-1].clone()",
                "{0}.copy_({0}.flip(0))",
                "{0}.add_({0})",
                "{0}[0] = {0}[-1]",
            )
        ).format(name)
    )


# ------------------------------------------------------------------------ joins


@statement
def _join(write: Writer):
    name, x = write.pick(has_dims)
    if name is None:
        return False
    dim = write.number(0, x.ndim - 1)
    kind = write.choose(("cat", "stack", "split", "chunk", "unbind", "pad", "tensor_split"))
    size = x.shape[dim]
    if kind == "cat":
        shape = list(x.shape)
        shape[dim] = write.number(0, 9)
        others = [write.new(x, shape), name][: write.number(1, 2)]
        return write.result(f"torch.cat([{name}, {', '.join(others)}], {dim})")
    if kind == "stack":
        return write.result(f"torch.stack([{name}, {write.new(x, x.shape)}], {dim})")
    if kind == "pad":
        return _pad(write, name, x)
    if kind == "unbind":
        return bool(size) and write.result(f"{name}.unbind({dim})[{write.number(0, size - 1)}]")
    if kind == "split" and size:
        part = write.number(1, size)
        picked = write.number(0, math.ceil(size / part) - 1)
        return write.result(f"{name}.split({part}, {dim})[{picked}]")
    parts = write.number(1, 4)
    return write.result(f"{name}.{kind}({parts}, dim={dim})[0]")


def _pad(write: Writer, name: str, x: Any):
    if write.chance(50) or x.ndim < 3:
        amounts = tuple(write.number(-1, 3) for _ in range(2 * write.number(1, x.ndim)))
        return write.result(f"F.pad({name}, {amounts}, value={write.choose(('0.0', '-1.5'))})")
    dims = 1 if x.ndim == 3 else write.choose((1, 2))
    amounts = tuple(write.number(0, 2) for _ in range(2 * dims))
    mode = write.choose(("reflect", "replicate", "circular"))
    return write.result(f"F.pad({name}, {amounts}, mode={mode!r})")


# ------------------------------------------------------------------------ indexing


@statement
def _index(write: Writer):
    name, x = write.pick(lambda t: t.ndim > 0 and 0 not in t.shape)
    if name is None:
        return False
    dim = write.number(0, x.ndim - 1)
    size = x.shape[dim]
    shape = write.shape(write.number(1, 2))
    low = -size if write.chance(50) else 0
    if math.prod(shape) * x.numel() // size > 30_000:
        shape = (3,)
    found = f"indices({low}, {size}, {shape}, {write.seed()} + turn)"
    flat = f"indices(0, {size}, ({shape[0]},), {write.seed()} + turn, {_integer(write)!r})"
    kind = write.choose(
        ("index", "index_select", "gather", "take", "two", "write", "add", "scatter", "put")
        + ("scatter_add", "index_add", "index_fill", "take_along")
    )
    lead = ":, " * dim
    if kind == "index":
        return write.result(f"{name}[{lead}{found}]")
    if kind == "index_select":
        return write.result(f"{name}.index_select({dim}, {flat})")
    if kind in ("gather", "take_along", "scatter", "scatter_add"):
        return _along_index(write, name, x, dim, kind)
    if kind == "take":
        count = x.numel()
        return write.result(f"{name}.take(indices(-{count}, {count}, {shape}, {write.seed()}))")
    if kind == "two":
        if x.ndim < 2:
            return False
        a, b = (f"indices(-{n}, {n}, {shape}, {write.seed()} + turn)" for n in x.shape[:2])
        return write.result(f"{name}[{a}, {b}]")
    if x.requires_grad and x.is_leaf:
        return False
    if kind == "write":
        return write.add(f"{name}[{lead}{flat}] = {write.choose(('2', '-0.5'))}")
    if kind == "index_fill":
        return write.result(f"{name}.index_fill({dim}, {flat}.long(), 2)")
    picked = (*x.shape[:dim], shape[0], *x.shape[dim + 1 :])
    source = write.new(x, picked)
    if kind == "add":
        return write.result(f"{name}.index_add({dim}, {flat}, {source})")
    if kind == "index_add":
        return write.add(f"{name}.index_add_({dim}, {flat}, {source}, alpha=2)")
    spread = "True" if write.chance(60) else "False"
    if spread == "False":  # which of several values stays is undefined
        return False
    rows = f"indices(0, {x.shape[0]}, ({shape[0]},), {write.seed()} + turn)"
    return write.add(f"{name}.index_put_(({rows},), {write.new(x, x.shape[1:])}, {spread})")


def _integer(write: Writer) -> str:
    return write.choose(("int64", "int64", "int32"))


def _along_index(write: Writer, name: str, x: Any, dim: int, kind: str):
    shape = tuple(write.number(0, size) for size in x.shape)
    size = x.shape[dim]
    found = f"indices(0, {size}, {shape}, {write.seed()} + turn)"
    if kind == "gather":
        return write.result(f"{name}.gather({dim}, {found})")
    if kind == "take_along":
        whole = (*x.shape[:dim], write.number(0, 5), *x.shape[dim + 1 :])
        return write.result(
            f"torch.take_along_dim({name}, indices(0, {size}, {whole}, {write.seed()}), {dim})"
        )
    if kind == "scatter":
        # which of several values stays is undefined: all are the same
        return write.result(f"{name}.scatter({dim}, {found}, 1)")
    return write.result(f"{name}.scatter_add({dim}, {found}, {write.new(x, shape)})")


@statement
def _make(write: Writer):
    """Tensors made of nothing."""
    name, x = write.pick()
    return write.result(
        write.choose(
            (
                f"torch.zeros_like({name})",
                f"torch.full_like({name}, 1)",
                f"torch.ones({tuple(x.shape)})",
                f"torch.arange({write.number(0, 40)})",
                f"torch.linspace(-1, 1, {write.number(0, 40)})",
                f"torch.eye({write.number(0, 9)}, {write.number(1, 9)})",
                f"torch.rand({tuple(x.shape)})",
                f"torch.randn({tuple(x.shape)})",
                f"{name}.new_full({tuple(x.shape)}, 2)",
            )
        )
    )


@statement
def _leaf(write: Writer):
    return bool(write.leaf(dtype=write.choose((*FLOATS, *DTYPES))))
