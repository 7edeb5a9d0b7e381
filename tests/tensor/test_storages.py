"""`storage()`, `untyped_storage()`, `set_` and the classes of storages, against PyTorch."""

import copy
import gc
import io
import pickle
import subprocess
import sys
import textwrap
import warnings

import pytest

from tests.support.both import run_both, scripts
from tests.support.package import package

_ATTEMPT = """
def attempt(call):
    try:
        print(call())
    except Exception as error:
        print(type(error).__name__, str(error).splitlines()[0])
"""


def _attempting(script):
    """The script, with `attempt`, which prints what a call gives or raises."""
    return _ATTEMPT + textwrap.dedent(script)


@pytest.fixture(autouse=True)
def warned(torch):
    """The warning of `TypedStorage` is given once in a process: here it was given."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for module in (torch, package):
            module.ones(1).storage()
        yield


@scripts(
    elements="""
    x = torch.arange(6.)
    s = x.storage()
    s[0] = 7
    s[-1] = 9
    s[1:3] = torch.tensor([4., 5.])
    print(x, s[0], s[-1], len(s), s.size(), s.nbytes(), s.element_size(), list(s), s.tolist())
    x[2] = 40
    x.mul_(2)
    print(s, repr(s) == str(s), s.type(), s.dtype, s.device, s.get_device(), s.filename)
    print(s.fill_(3) is s, x, x.view(2, 3)[1].storage().tolist(), x[2:].sum())
    """,
    bytes="""
    x = torch.arange(3.)
    u = x.untyped_storage()
    print(u, u.type(), len(u), u.size(), u.nbytes(), u.element_size(), u.device, u.get_device())
    print(u[0], u[-1], u[4:8], u[2:1], list(u) == u.tolist(), u.is_cuda, u.filename, u.new())
    u[3] = 64
    u[2] = 300
    u[8:12] = 0
    print(x)
    part = u[4:8]
    part[0] = 1
    x[2] = 8
    print(x, u.tolist())
    u.fill_(257)
    print(x.view(torch.int32), part.tolist())
    u.byteswap(torch.float32)
    print(x.view(torch.int32))
    """,
    mistakes=_attempting("""
    x = torch.arange(3.)
    s, u = x.storage(), x.untyped_storage()
    for index in (100, -13, "a", 1.5, True, slice(0, 4, 2)):
        attempt(lambda: u[index])
        attempt(lambda: u.__setitem__(index, 1))
    for value in (1.5, [1], "a", None):
        attempt(lambda: u.__setitem__(0, value))
        attempt(lambda: u.fill_(value))
    for index in (100, -4, "a", 1.5, True, slice(0, 2)):
        attempt(lambda: s[index])
    for index in (100, "a", 1.5):
        attempt(lambda: s.__setitem__(index, 1))
    for value in ("a", s, u):
        attempt(lambda: s.__setitem__(0, value))
    attempt(lambda: u.copy_(x))
    attempt(lambda: u.copy_(torch.arange(4.).untyped_storage()))
    attempt(lambda: s.copy_(torch.arange(3).storage()))
    attempt(lambda: u.resize_("a"))
    attempt(lambda: x.add(s))
    attempt(lambda: x.add(u))
    """),
    same_memory="""
    x, other = torch.arange(6.), torch.arange(6.)
    views = x.view(2, 3), x[2:], x.t(), x.detach(), x.data, x.reshape(3, 2).t()
    for y in (*views, other, x.clone(), x + 0):
        same = y.untyped_storage().data_ptr() == x.untyped_storage().data_ptr()
        print(same, y.untyped_storage() is x.untyped_storage(), y.storage() == x.storage(),
              y.storage().data_ptr() == x.data_ptr(), y.storage()._cdata == x.storage()._cdata)
    a = torch.ones(2)
    b = torch.from_numpy(a.numpy())
    print(a.untyped_storage().data_ptr() == b.untyped_storage().data_ptr())
    print(torch.empty(0).untyped_storage().data_ptr())
    """,
    conversions="""
    s = torch.tensor([0., 1.5, 300.]).storage()
    u = torch.tensor([1, 2], dtype=torch.int16).untyped_storage()
    for name in ("double", "float", "half", "bfloat16", "long", "int", "short", "bool",
                 "complex_double", "complex_float"):
        print(getattr(s, name)(), getattr(u, name)())
    print(u.char(), u.byte(), s.float().data_ptr() == s.data_ptr())
    """,
    copies="""
    x = torch.arange(3.)
    s = x.storage()
    for made in (s.clone(), s.untyped().clone(), torch.FloatStorage(3).copy_(s)):
        made[0] = 9
        print(made, x)
    print(s.cpu().data_ptr() == s.data_ptr(), s.to(device="cpu").data_ptr() == s.data_ptr())
    print(x.untyped_storage().cpu() is x.untyped_storage(), s.untyped() is x.untyped_storage())
    torch.zeros(3).storage().copy_(s)
    """,
    classes=_attempting("""
    x = torch.arange(2.)
    names = sorted(name for name in dir(torch) if name.endswith("Storage")
                   and not name.startswith("Q"))
    print([name for name in names if name != "Storage"])
    print(torch.FloatStorage, torch.FloatStorage.dtype, torch.FloatStorage.__module__)
    print(isinstance(x.storage(), torch.FloatStorage), isinstance(x.storage(), torch.LongStorage),
          issubclass(torch.FloatStorage, torch.TypedStorage), x.storage_type())
    print(torch.storage.TypedStorage is torch.TypedStorage)
    print(torch.is_storage(x.storage()), torch.is_storage(x.untyped_storage()), torch.is_storage(x))
    attempt(lambda: torch.FloatStorage())
    attempt(lambda: torch.FloatStorage([1, 2, 3]))
    attempt(lambda: torch.LongStorage(range(3)))
    attempt(lambda: torch.FloatStorage(3).size())
    attempt(lambda: torch.FloatStorage(wrap_storage=x.untyped_storage()))
    attempt(lambda: torch.FloatStorage(3.5))
    attempt(lambda: torch.FloatStorage(1, 2))
    attempt(lambda: torch.FloatStorage(dtype=torch.float))
    attempt(lambda: torch.FloatStorage(wrap_storage=3))
    attempt(lambda: torch.FloatStorage(3, wrap_storage=x.untyped_storage()))
    attempt(lambda: torch.FloatStorage(["a"]))
    attempt(lambda: torch.TypedStorage([1, 2], dtype=torch.int16))
    attempt(lambda: torch.TypedStorage(3.5))
    attempt(lambda: torch.TypedStorage(1, 2))
    attempt(lambda: torch.TypedStorage(wrap_storage=x.untyped_storage()))
    attempt(lambda: torch.TypedStorage(wrap_storage=x.untyped_storage(), dtype=torch.int32))
    attempt(lambda: torch.UntypedStorage())
    attempt(lambda: torch.UntypedStorage(3).size())
    attempt(lambda: torch.UntypedStorage([1, 2, 300]))
    attempt(lambda: torch.UntypedStorage(bytes([1, 2])))
    attempt(lambda: torch.UntypedStorage(3.5))
    attempt(lambda: torch.UntypedStorage([1.5]))
    attempt(lambda: torch.UntypedStorage(True))
    """),
    from_buffer=_attempting("""
    data = b"abcdefgh"
    make = torch.UntypedStorage.from_buffer
    attempt(lambda: make(data, byte_order="native", dtype=torch.int32))
    attempt(lambda: make(data, "big", dtype=torch.int32))
    attempt(lambda: make(data, "big", 1, 4, dtype=torch.int32))
    attempt(lambda: make(data, dtype=torch.uint8))
    attempt(lambda: make(data, dtype=torch.int32))
    attempt(lambda: make(data, "foo", dtype=torch.int32))
    attempt(lambda: make(data, "big", 9, dtype=torch.int32))
    attempt(lambda: make(data, "big", -1, 9, dtype=torch.int32))
    attempt(lambda: make(data, "big", -1, 1, dtype=torch.int32))
    attempt(lambda: torch.FloatStorage.from_buffer(data, "native"))
    attempt(lambda: torch.ByteTensor(torch.ByteStorage.from_buffer(data)))
    attempt(lambda: torch.ByteStorage.from_buffer(data, dtype=torch.uint8))
    """),
    tensors_of_storages=_attempting("""
    x = torch.arange(3.)
    shown = torch.Tensor(x.storage())
    shown[0] = 5
    print(x, shown.data_ptr() == x.data_ptr(), x.new(x.storage()), torch.FloatTensor(x.storage()))
    print(torch.LongTensor(torch.arange(2).storage()), torch.Tensor(x.untyped_storage()))
    same = torch.tensor(x.storage())
    same[0] = 6
    print(x, same, torch.as_tensor(x.storage(), dtype=torch.float32))
    print(torch.tensor(torch.zeros(2).untyped_storage()), torch.tensor(same.storage().tolist()))
    print(torch.tensor([x.storage(), x.storage()]), torch.asarray(x.storage()))
    print(torch.tensor(x.storage(), requires_grad=True))
    attempt(lambda: torch.tensor(x.storage(), dtype=torch.int64))
    attempt(lambda: torch.DoubleTensor(x.storage()))
    attempt(lambda: torch.Tensor(torch.arange(3).storage()))
    attempt(lambda: torch.Tensor(x.storage(), 3))
    """),
    set_=_attempting("""
    x = torch.arange(4.)
    new = lambda: torch.tensor([])
    attempt(lambda: new().set_(x.storage()))
    attempt(lambda: new().set_(x.storage(), 1, (2,)))
    attempt(lambda: new().set_(x.storage(), 1, (2,), (2,)))
    attempt(lambda: new().set_(source=x.storage(), storage_offset=1, size=(2,), stride=(1,)))
    attempt(lambda: new().set_(x.untyped_storage(), 0, (2, 2), (1, 2)).add_(1))
    attempt(lambda: new().set_(x, 1, (2,), (1,)).fill_(9))
    attempt(lambda: torch.tensor([1.]).set_())
    print(x)
    attempt(lambda: new().set_(x.storage(), 1, (4,))[:3])
    print(x.untyped_storage().size(), x)
    attempt(lambda: new().set_(torch.arange(3)))
    attempt(lambda: new().set_(torch.arange(3).storage()))
    attempt(lambda: new().set_(3))
    attempt(lambda: new().set_(x.storage(), 1))
    attempt(lambda: new().set_(x, -1, (2,), (1,)))
    attempt(lambda: new().set_(x, 0, (2,), (-1,)))
    attempt(lambda: new().set_(x.storage(), 1, (2,), (2, 3)))
    attempt(lambda: torch.tensor([1.], requires_grad=True).set_(x.storage()))
    """),
    two_dtypes_on_one_memory="""
    x = torch.arange(4.)
    bits = torch.tensor([], dtype=torch.int32).set_(x.untyped_storage())
    bits[1] = 1 << 30
    x[2] = 4
    x.mul_(2)
    print(x, bits, bits.untyped_storage().data_ptr() == x.untyped_storage().data_ptr())
    bits.add_(1 << 23)
    print(x, bits + 1, (x * 2).sum())
    short = torch.tensor([], dtype=torch.float64).set_(torch.UntypedStorage(20).fill_(0))
    print(short)
    u = torch.UntypedStorage([0, 0, 128, 63, 0, 0, 0, 64])
    print(torch.tensor([]).set_(u), torch.FloatStorage(wrap_storage=u), torch.Tensor(u).add_(1), u)
    """,
    resize=_attempting("""
    x = torch.arange(3.)
    u = x.untyped_storage()
    u.resize_(20)
    print(u.size(), len(x.storage()), x, u.resizable())
    x.storage().resize_(6)
    print(u.size(), x)
    u = torch.UntypedStorage([1, 2, 3, 4])
    print(u.resize_(2))
    print(u.resize_(3)[:2], u.size())
    y = torch.from_numpy(np.ones(3))
    print(y.untyped_storage().resizable(), y.storage().resizable())
    attempt(lambda: y.untyped_storage().resize_(100))
    """),
    with_gradients="""
    w = torch.ones(3, requires_grad=True)
    y = (w * 2).sum()
    w.storage()[0] = 5
    y.backward()
    print(w, w.grad, w._version, w.grad.storage())
    """,
)
def test_storages(script):
    """Storages are views of the tensors' memory and say what PyTorch's say."""
    run_both(script)


@scripts(
    saved="""
    import io
    def again(thing, **options):
        file = io.BytesIO()
        torch.save(thing, file)
        file.seek(0)
        return torch.load(file, **options)
    x = torch.arange(3.)
    print(again(x.storage()), again(x.untyped_storage()), again([torch.arange(2).storage()]))
    y, s = again((x, x.storage()))
    s[0] = 100
    print(y)
    print(again(x, map_location=lambda storage, place: print(len(storage), place) or storage))
    print(again(x, map_location=lambda storage, place: storage.clone()))
    again((x, x.untyped_storage()))
    """,
    pickled="""
    import copy, pickle
    x = torch.arange(3.)
    print(pickle.loads(pickle.dumps(x.storage())), copy.copy(x.storage()))
    y, s = copy.deepcopy([x, x.storage()])
    s[0] = 100
    print(x, y, copy.deepcopy(x.untyped_storage()))
    """,
)
def test_storages_in_files(script):
    """They are saved, loaded and copied like tensors, and share memory with them again."""
    run_both(script)


def test_a_pickled_storage_shares_memory_with_its_tensor():
    """Within one pickle, as within one file of `torch.save`."""
    x = package.arange(3.0)
    y, u = pickle.loads(pickle.dumps((x, x.untyped_storage())))
    u[3] = 64
    assert y.tolist() == [2.0, 1.0, 2.0] and x.tolist() == [0.0, 1.0, 2.0]
    assert copy.copy(x.untyped_storage()).tolist() == x.untyped_storage().tolist()


def test_files_of_pytorch_hold_storages(torch):
    """PyTorch reads fakel's storages, and fakel PyTorch's."""
    for writer, reader in ((torch, package), (package, torch)):
        file = io.BytesIO()
        writer.save([writer.arange(3.0).storage(), writer.arange(2).untyped_storage()], file)
        file.seek(0)
        typed, untyped = reader.load(file)
        assert typed.tolist() == [0.0, 1.0, 2.0]
        assert untyped.tolist() == [0] * 8 + [1] + [0] * 7


def test_memory_that_tensors_show_is_not_taken_away():
    """PyTorch lets a tensor read beyond its memory then; fakel refuses."""
    x = package.arange(4.0)
    with pytest.raises(RuntimeError, match="cannot resize this storage from 16 to 8 bytes"):
        x.untyped_storage().resize_(8)
    with pytest.raises(RuntimeError, match="cannot resize"):
        x.untyped_storage().resize_(18)
    assert x.tolist() == [0.0, 1.0, 2.0, 3.0]


def test_tensors_that_share_memory_with_another_dtype_are_quick_again():
    """Once the other one is gone, nothing is exchanged through the memory."""
    x = package.arange(4.0)
    bits = package.tensor([], dtype=package.int32).set_(x.untyped_storage())
    assert x._storage.shared
    del bits
    gc.collect()
    assert not x._storage.shared


def test_the_warning_comes_once_at_the_users_line():
    """As PyTorch's does."""
    code = (
        "import warnings, fakel\n"
        "with warnings.catch_warnings(record=True) as found:\n"
        "    warnings.simplefilter('always')\n"
        "    fakel.ones(1).storage().size()\n"
        "    fakel.FloatStorage(1)\n"
        "print(*(f'{w.filename} {w.lineno} {w.message}' for w in found), sep='|')\n"
    )
    run = [sys.executable, "-c", code]
    found = subprocess.run(run, capture_output=True, text=True, check=True).stdout
    assert found.startswith("<string> 4 TypedStorage is deprecated.") and "|" not in found
