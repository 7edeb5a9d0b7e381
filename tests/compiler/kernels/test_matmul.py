"""Matrix products: every layout, size and epilogue against NumPy, out of bounds nowhere."""

import ctypes
import mmap

import numpy as np
import pytest

import fakel
from fakel import nn
from fakel.compiler.executor import Compiler
from fakel.compiler.graph import Graph
from fakel.compiler.kernels.pointwise.meanings import is_pointwise
from fakel.compiler.kernels.products.dots import dot_kernel, dot_tiling
from fakel.compiler.kernels.products.lowerings import Epilogue, matmul, product_with_epilogue
from fakel.compiler.kernels.products.packing import Packing, packing_kernel
from fakel.compiler.kernels.products.product import Operand, Product, Step, product_kernel, tiling
from fakel.compiler.loop_ir import target
from fakel.compiler.loop_ir.emit import emit
from fakel.compiler.planning.assemble import Planned
from fakel.compiler.planning.lowering import LOWERINGS, Access
from fakel.compiler.planning.plan import Plan
from fakel.compiler.structure import structure
from fakel.graph import flush, use_executor
from fakel.interpreter import Interpreter
from fakel.ops.activation import _relu_gradient
from fakel.runtime.native import compile_kernel
from fakel.tensor import dtypes
from tests.compiler.native import both

PAGE = mmap.PAGESIZE
FUNCTION = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
SIZES = [(1, 1, 1), (3, 5, 7), (17, 33, 65), (100, 100, 30), (64, 10, 128), (10, 128, 64)]
SIZES += [
    (5, 50, 2100),
    (1, 300, 40),
    (300, 1, 40),
    (1, 1, 1000),
    (2, 3, 0),
    (0, 3, 4),
    (29, 112, 16),
]


@pytest.fixture(scope="module")
def library():
    """The C library's `mprotect`."""
    return ctypes.CDLL(None)


class Runner:
    """Runs the kernel calls of a plan one after another on arrays that end where memory ends."""

    def __init__(self, library):
        self.library = library
        self.plan = Plan(Graph())
        self.memory = {}
        self.maps = []

    def _room(self, count, dtype):
        size = max(count, 1) * np.dtype(dtype).itemsize
        pages = -(-size // PAGE)
        area = mmap.mmap(-1, (pages + 2) * PAGE)
        start = ctypes.addressof(ctypes.c_char.from_buffer(area))
        for forbidden in (start, start + (pages + 1) * PAGE):
            assert self.library.mprotect(ctypes.c_void_p(forbidden), PAGE, 0) == 0
        self.maps.append((area, start, pages))
        first = (pages + 1) * PAGE - size
        return np.frombuffer(area, dtype, max(count, 1), first)[:count]

    def array(self, shape, strides, dtype, values=None):
        """An access of a new array and the array; `strides` in elements."""
        count = 1 + sum((n - 1) * abs(s) for n, s in zip(shape, strides, strict=True))
        count = count if 0 not in shape else 0
        kind = dtypes.from_numpy(np.dtype(dtype))
        access = self.plan._new("leaf", (count,), kind)
        buffer = self._room(count, dtype)
        buffer[...] = np.nan
        self.memory[access.buffer] = buffer
        steps = [s * buffer.itemsize for s in strides]
        view = np.lib.stride_tricks.as_strided(buffer, shape, steps)
        if values is not None:
            view[...] = values
        return Access(access.buffer, 0, tuple(shape), tuple(strides), kind), view

    def run(self, threads=1):
        for step in self.plan.steps:
            address = compile_kernel(step.kernel.name, emit(step.kernel), repr(step.kernel))
            pointers = []
            for access in step.arguments:
                if access.buffer not in self.memory:
                    room = self._room(self.plan.buffers[access.buffer].count, access.dtype.storage)
                    self.memory[access.buffer] = room
                    room[...] = np.nan
                array = self.memory[access.buffer]
                start = array.__array_interface__["data"][0]
                pointers.append(start + access.offset * array.itemsize)
            block = np.array(pointers, np.int64)
            for thread in range(threads):
                assert FUNCTION(address)(block.ctypes.data, thread, threads) == 0

    def close(self):
        self.memory.clear()
        for _, start, pages in self.maps:
            for forbidden in (start, start + (pages + 1) * PAGE):
                self.library.mprotect(ctypes.c_void_p(forbidden), PAGE, 3)


@pytest.fixture
def runner(library):
    """Makes fresh runners, and lets go of their memory afterwards."""
    made = []

    def make():
        made.append(Runner(library))
        return made[-1]

    yield make
    for each in made:
        each.close()


def layout(shape, kind):
    """Strides: `rows` or `columns` side by side, with gaps, or neither."""
    *batch, m, n = shape
    inner = {"rows": (n, 1), "columns": (1, m), "gaps": (n + 5, 1), "neither": (2 * n + 1, 2)}[kind]
    extent = 1 + (max(m, 1) - 1) * inner[0] + (max(n, 1) - 1) * inner[1]
    return (*[extent] * len(batch), *inner)


def close(result, expected, depth, dtype):
    tolerance = (1e-6 if dtype == "float32" else 1e-15) * (depth + 10) ** 0.5
    np.testing.assert_allclose(result, expected, rtol=tolerance * 4, atol=tolerance * 8)


def product(make, m, n, k, kinds, dtype="float32", batch=(), threads=1):
    rng = np.random.default_rng(m * n + k)
    left = rng.standard_normal((*batch, m, k)).astype(dtype)
    right = rng.standard_normal((*batch, k, n)).astype(dtype)
    runner = make()
    a, _ = runner.array(left.shape, layout(left.shape, kinds[0]), dtype, left)
    b, _ = runner.array(right.shape, layout(right.shape, kinds[1]), dtype, right)
    shape = (*batch, m, n)
    out, result = runner.array(shape, layout(shape, kinds[2]), dtype)
    matmul(runner.plan, a, b, out)
    runner.run(threads)
    close(result, left.astype("f8") @ right.astype("f8"), k, dtype)
    return result.copy()


@pytest.mark.parametrize("kinds", [("rows", "rows"), ("rows", "columns"), ("columns", "rows")])
@pytest.mark.parametrize("size", SIZES)
def test_sizes(runner, size, kinds):
    product(runner, *size, (*kinds, "rows"))


@pytest.mark.parametrize("a", ["rows", "columns", "gaps", "neither"])
@pytest.mark.parametrize("b", ["rows", "columns", "gaps", "neither"])
@pytest.mark.parametrize("out", ["rows", "columns", "gaps"])
def test_layouts(runner, a, b, out):
    product(runner, 37, 21, 18, (a, b, out))


@pytest.mark.parametrize("kinds", [("rows", "rows"), ("rows", "columns"), ("columns", "neither")])
def test_double_precision(runner, kinds):
    product(runner, 37, 21, 50, (*kinds, "rows"), "float64")


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("kinds", [("rows", "rows"), ("rows", "columns"), ("columns", "rows")])
def test_batches(runner, batch, kinds):
    product(runner, 19, 23, 17, (*kinds, "rows"), batch=(batch,))
    product(runner, 130, 20, 70, (*kinds, "rows"), batch=(batch,))


@pytest.mark.parametrize(
    "chosen", [target.AVX2, target.NEON, target.SSE2], ids=["avx2", "neon", "sse2"]
)
@pytest.mark.parametrize("kinds", [("rows", "rows"), ("rows", "columns"), ("columns", "rows")])
def test_narrower_vectors(runner, chosen, kinds):
    with target.override(chosen):
        product(runner, 37, 21, 50, (*kinds, "rows"))
        product(runner, 3, 29, 9, (*kinds, "rows"), "float64")


@pytest.mark.parametrize("kinds", [("rows", "rows"), ("columns", "columns"), ("rows", "columns")])
def test_operands_whole_pages_apart_are_packed(runner, kinds):
    product(runner, 30, 1024, 70, (*kinds, "rows"))
    product(runner, 1024, 70, 40, (*kinds, "rows"))


@pytest.mark.parametrize("size", [(64, 128, 784), (100, 100, 30), (1, 300, 700), (9, 500, 1500)])
def test_every_number_of_threads_gives_the_same_bits(runner, size):
    kinds = ("rows", "columns", "rows")
    once = product(runner, *size, kinds)
    for threads in (2, 3, 7):
        assert np.array_equal(once, product(runner, *size, kinds, threads=threads))


@pytest.mark.parametrize("depth", [0, 5, 70, 2500])
@pytest.mark.parametrize("kind", ["rows", "columns"])
def test_epilogues(runner, depth, kind):
    m, n = 37, 41
    rng = np.random.default_rng(depth)
    left = rng.standard_normal((m, depth)).astype("f4")
    right = rng.standard_normal((depth, n)).astype("f4")
    added = [
        rng.standard_normal(shape).astype("f4") for shape in [(n,), (m, 1), (1,), (m, n), (m, n)]
    ]
    start = rng.standard_normal((m, n)).astype("f4")
    one = runner()
    a, _ = one.array(left.shape, (depth, 1), "f4", left)
    b, _ = one.array(right.shape, layout(right.shape, kind), "f4", right)
    out, result = one.array((m, n), layout((m, n), kind), "f4", start)
    summands = [
        one.array(each.shape, strides, "f4", each)[0]
        for each, strides in zip(added, [(1,), (1, 1), (1,), (n, 1), (2 * n, 2)], strict=True)
    ]
    matmul(
        one.plan, a, b, out, Epilogue(0.5, tuple(summands), accumulate=True, steps=(Step("relu"),))
    )
    one.run(2)
    expected = 0.5 * (left.astype("f8") @ right) + start + sum(added)
    close(result, np.maximum(expected, 0), depth, "float32")


def test_relu_keeps_nan(runner):
    one = runner()
    a, _ = one.array((2, 3), (3, 1), "f4", [[np.nan, 1, 1], [-1, -1, -1]])
    b, _ = one.array((3, 2), (2, 1), "f4", np.ones((3, 2)))
    out, result = one.array((2, 2), (2, 1), "f4")
    matmul(one.plan, a, b, out, Epilogue(steps=(Step("relu"),)))
    one.run()
    np.testing.assert_array_equal(result, [[np.nan, np.nan], [0, 0]])


def test_one_matrix_for_a_whole_batch_is_one_product(runner):
    rng = np.random.default_rng(0)
    left, right = rng.standard_normal((5, 7, 9)), rng.standard_normal((9, 11))
    one = runner()
    a, _ = one.array((5, 7, 9), (63, 9, 1), "f8", left)
    b, _ = one.array((5, 9, 11), (0, 11, 1), "f8", right)
    out, result = one.array((5, 7, 11), (77, 11, 1), "f8")
    matmul(one.plan, a, b, out)
    one.run()
    close(result, left @ right, 9, "float64")
    assert one.plan.steps[-1].arguments[2].shape == (1, 35, 11)


def test_infinities_stay_in_their_rows(runner):
    one = runner()
    values = np.ones((40, 20), "f4")
    values[3, 4] = np.inf
    a, _ = one.array((40, 20), (20, 1), "f4", values)
    b, _ = one.array((20, 9), (1, 20), "f4", np.ones((20, 9)))
    out, result = one.array((40, 9), (9, 1), "f4")
    matmul(one.plan, a, b, out)
    one.run()
    expected = np.full((40, 9), 20.0)
    expected[3] = np.inf
    np.testing.assert_array_equal(result, expected)


def test_results_need_rows_or_columns_side_by_side(runner):
    one = runner()
    a, _ = one.array((4, 4), (4, 1), "f4")
    out, _ = one.array((4, 4), (8, 2), "f4")
    with pytest.raises(ValueError, match="side by side"):
        matmul(one.plan, a, a, out)


# ------------------------------------------------------------------------ lowerings


def operators():
    x = fakel.randn(6, 5, 20)
    w, b = fakel.randn(9, 20), fakel.randn(9)
    flat = x.reshape(30, 20)
    doubles = fakel.randn(3, 4, dtype=fakel.float64)
    yield fakel.mm(flat, w.t())
    yield fakel.mm(flat[::2, 1:], w[:, 1:].t())
    yield fakel.mm(doubles, doubles.t())
    yield fakel.bmm(x, x.transpose(1, 2))
    yield fakel.bmm(x[:, :1], x.transpose(1, 2)[:, :, :1])
    yield fakel.addmm(b, flat, w.t())
    yield fakel.addmm(fakel.randn(30, 9).t().contiguous().t(), flat, w.t())
    yield fakel.mv(w, x[0, 0])
    yield fakel.mv(w.t(), b)
    yield fakel.dot(x[0, 0], w[0])
    yield fakel.dot(w[:, 0], b)
    yield fakel.nn.functional.linear(x, w, b)
    yield fakel.nn.functional.linear(x.transpose(0, 1), w)
    yield fakel.nn.functional.linear(x[0, 0], w, b)
    yield fakel.mm(fakel.ones(3, 4, dtype=fakel.int64), fakel.ones(4, 5, dtype=fakel.int64))


def test_operators_give_what_the_interpreter_gives():
    results = []
    for executor in (Interpreter(), Compiler(eager=True)):
        flush()
        before = use_executor(executor)
        try:
            fakel.manual_seed(0)
            results.append([each.numpy().copy() for each in operators()])
        finally:
            use_executor(before)
    for plain, native in zip(*results, strict=True):
        np.testing.assert_allclose(native, plain, rtol=1e-5, atol=1e-5)


def chains():
    """Products and what follows them: the last tensor of each chain alone is wanted."""
    x, w, b = fakel.randn(3, 10, 20), fakel.randn(41, 20), fakel.randn(41)
    gradient = fakel.randn(30, 41)
    output = fakel.tensor(np.arange(600, dtype="f4").reshape(30, 20) % 3)
    linear = nn.functional.linear
    yield linear(x, w, b).relu()
    yield nn.functional.gelu(linear(x, w, b))
    yield linear(x, w).tanh().mul(fakel.randn(3, 10, 41))
    yield fakel.rand(41) * linear(x[0, 0], w, b).sigmoid()
    yield _relu_gradient(gradient.mm(w), output)
    yield _relu_gradient(fakel.addmm(fakel.randn(20), gradient, w), output)
    yield w.mv(x[0, 0]).exp()
    yield w.t().mm(w) + fakel.randn(20, 1)
    yield linear(x, w, b).double()  # which has no such kernel


class Chained:
    """An executor that makes one kernel of a product and all pointwise nodes after it."""

    def __init__(self):
        self.lowered = []

    def run(self, program):
        leaves = structure(program)[1]
        graph = Graph.of(program, leaves)
        plan, values = Plan(graph), graph.values
        start = next(i for i, v in enumerate(values) if v.name in LOWERINGS and not is_pointwise(v))
        for value in values[:start]:
            assert value.name == "view"
            plan._view(value)
        done = product_with_epilogue(plan, values[start], values[start + 1 :])
        self.lowered.append(done)
        if done:
            Planned(plan).run(program, leaves)
        else:
            Interpreter().run(program)


def test_pointwise_operators_after_a_product_are_part_of_its_kernel():
    results, chained = [], Chained()
    for executor in (Interpreter(), chained):
        flush()
        before = use_executor(executor)
        try:
            fakel.manual_seed(0)
            results.append([each.numpy().copy() for each in chains()])
        finally:
            use_executor(before)
    assert chained.lowered == [True] * 8 + [False]
    for plain, native in zip(*results, strict=True):
        np.testing.assert_allclose(native, plain, rtol=1e-5, atol=1e-5)


# ------------------------------------------------------------------------ text


def test_text_of_a_product():
    with target.override(target.SSE2):
        tiles = tiling(2, 6, 3, "f32")
        made = product_kernel(
            Product("f32", 1, 2, 6, 3, Operand(0, 3, 1), Operand(0, 1, 6), 0, 6, tiles)
        )
    assert repr(made) == TILES


@pytest.mark.parametrize(
    "lies, lines",
    [
        (
            Operand(0, 40, 1),
            ["for line4 in 0..20", "for p6 in 0..40 step 16", "from5 = line4 * 40"],
        ),
        (
            Operand(0, 1, 20),
            ["for line4 in 0..40", "for p6 in 0..20 step 16", "from5 = line4 * 20"],
        ),
    ],
)
def test_text_of_asking_beforehand(lies, lines):
    """Every cache line of the first operand once, along its rows or its columns."""
    with target.override(target.AVX2):
        tiles = tiling(20, 6, 40, "f32")
        made = repr(
            product_kernel(
                Product("f32", 1, 20, 6, 40, lies, Operand(0, 1, 6), 0, 6, tiles, fetched=True)
            )
        )
    assert "prefetch a[from5 + p6]" in made
    assert all(line in made for line in lines)


def test_text_of_dots():
    with target.override(target.SSE2):
        tiles = dot_tiling(1, 2, 9, "f32")
        made = dot_kernel(
            Product(
                "f32",
                1,
                1,
                2,
                9,
                Operand(0, 9, 1),
                Operand(0, 9, 1),
                0,
                2,
                tiles,
                steps=(Step("relu"),),
            )
        )
    assert repr(made) == DOTS


def test_text_of_packing():
    with target.override(target.SSE2):
        made = packing_kernel(Packing("f32", 1, 6, 3, 0, 1, 6, 4, 4))
    assert repr(made) == PACK


TILES = """\
kernel product(a: f32, b: f32, out: f32)
  let start0 = thread // threads
  let stop1 = (thread + 1) // threads
  let memory2 = 0
  for unit3 in start0..stop1 step 1
    for rowtile4 in 0..1 step 1
      for strip5 in 0..1 step 1
        let row6 = rowtile4 * 2
        let column7 = strip5 * 8
        var sum8 = 0.0
        var sum9 = 0.0
        var sum10 = 0.0
        var sum11 = 0.0
        let afrom12 = row6 * 3
        let bfrom13 = column7
        for p14 in 0..3 step 1 rolled
          let bat15 = bfrom13 + (p14 * 6)
          let aat16 = afrom12 + p14
          let v17 = b[bat15:4]
          let v18 = b[bat15 + 4:2 of 4]
          let v19 = f32x4(a[aat16])
          sum8 = fma(v19, v17, sum8)
          sum9 = fma(v19, v18, sum9)
          let v20 = f32x4(a[aat16 + 3])
          sum10 = fma(v20, v17, sum10)
          sum11 = fma(v20, v18, sum11)
        out[(row6 * 6) + column7:4] = sum8
        out[(row6 * 6) + (column7 + 4):2 of 4] = sum9
        out[((row6 + 1) * 6) + column7:4] = sum10
        out[((row6 + 1) * 6) + (column7 + 4):2 of 4] = sum11
"""
DOTS = """\
kernel dots(a: f32, b: f32, out: f32)
  let start0 = thread // threads
  let stop1 = (thread + 1) // threads
  let memory2 = 0
  for unit3 in start0..stop1 step 1
    for rowtile4 in 0..1 step 1
      for strip5 in 0..1 step 1
        let row6 = rowtile4
        let column7 = strip5 * 2
        let afrom8 = row6 * 9
        let bfrom9 = column7 * 9
        var sum10 = 0.0
        var sum11 = 0.0
        var sum12 = 0.0
        var sum13 = 0.0
        var sum14 = 0.0
        var sum15 = 0.0
        var sum16 = 0.0
        var sum17 = 0.0
        let aat18 = afrom8
        let bat19 = bfrom9
        let v20 = a[aat18:4]
        let v21 = b[bat19:4]
        sum10 = fma(v20, v21, sum10)
        let v22 = b[bat19 + 9:4]
        sum11 = fma(v20, v22, sum11)
        let aat23 = afrom8 + 4
        let bat24 = bfrom9 + 4
        let v25 = a[aat23:4]
        let v26 = b[bat24:4]
        sum12 = fma(v25, v26, sum12)
        let v27 = b[bat24 + 9:4]
        sum13 = fma(v25, v27, sum13)
        let aat28 = afrom8 + 8
        let bat29 = bfrom9 + 8
        let v30 = a[aat28:1 of 4]
        let v31 = b[bat29:1 of 4]
        sum14 = fma(v30, v31, sum14)
        let v32 = b[bat29 + 9:1 of 4]
        sum15 = fma(v30, v32, sum15)
        let v33 = sum10 + sum12
        let v34 = sum14 + sum16
        let v35 = v33 + v34
        let v36 = sum11 + sum13
        let v37 = sum15 + sum17
        let v38 = v36 + v37
        let v39 = shuffle(v35, v38, [0, 2, 4, 6]) + shuffle(v35, v38, [1, 3, 5, 7])
        let v40 = shuffle(v39, v39, [0, 2]) + shuffle(v39, v39, [1, 3])
        var sum41 = v40
        let v42 = sum41
        out[(row6 * 2) + column7:2] = select(v42 < 0.0, 0.0, v42)
"""
PACK = """\
kernel pack(source: f32, packed: f32)
  let start0 = min((thread * 2) // threads, 2)
  let stop1 = min(((thread + 1) * 2) // threads, 2)
  for unit2 in start0..stop1 step 1
    let origin3 = unit2 * 4
    let place4 = (unit2 * 4) * 3
    if unit2 < 1
      for p5 in 0..3 step 1
        let from6 = origin3 + (p5 * 6)
        let to7 = place4 + (p5 * 4)
        packed[to7:4] = source[from6:4]
    else
      for p8 in 0..3 step 1
        let from9 = origin3 + (p8 * 6)
        let to10 = place4 + (p8 * 4)
        packed[to10:4] = source[from9:2 of 4]
"""


def test_linear_of_a_transposed_sequence_is_native():
    """Its first two dimensions cannot be walked as one."""
    rng = np.random.default_rng(0)
    data, weight, bias = (
        rng.standard_normal(shape).astype(np.float32) for shape in ((5, 7, 20), (9, 20), (9,))
    )

    def compute():
        x, w, b = (fakel.tensor(array) for array in (data, weight, bias))
        return fakel.nn.functional.linear(x.transpose(0, 1), w, b).relu().numpy().copy()

    expected, found, interpreted = both(compute)
    assert "linear" not in interpreted
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(
        found, np.maximum(data.swapaxes(0, 1) @ weight.T + bias, 0), rtol=1e-4, atol=1e-5
    )
