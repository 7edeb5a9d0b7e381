"""Tensors to and from NumPy, Python, pickles, copies and DLPack, against PyTorch."""

import subprocess
import sys

import numpy as np
import pytest

from tests.support.both import run_both, scripts
from tests.support.package import package


@scripts(
    from_numpy_shares_memory="""
        a = np.arange(6.0).reshape(2, 3)
        x = torch.from_numpy(a)
        a[0, 0] = 100
        x[1, 1] = 50
        x.mul_(2)
        print(a, x, x.dtype)
    """,
    numpy_shares_memory="""
        x = torch.arange(6.0).reshape(2, 3)
        a = x.numpy()
        x += 1
        a[0] = -1
        print(a, x)
        print(x.t().numpy().shape, x.t().numpy().strides)
    """,
    operators_before_a_change_do_not_see_it="""
        a = np.ones(3)
        x = torch.from_numpy(a)
        y = x * 2
        a[:] = 7
        print(y, x * 2)
    """,
    operators_before_a_change_through_a_taken_array="""
        x = torch.ones(3)
        a = x.numpy()
        y = x + 1
        a += 10
        z = x + 1
        print(y, z)
    """,
    torch_tensor_copies="""
        a = np.ones(3)
        x = torch.tensor(a)
        a[:] = 5
        print(x, torch.as_tensor(a)[0])
        a[0] = 9
        print(torch.as_tensor(a))
    """,
    dtypes_of_arrays="""
        for kind in ["float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8",
                     "bool", "complex64", "complex128"]:
            x = torch.from_numpy(np.ones(2, kind))
            print(kind, x.dtype, x.numpy().dtype)
    """,
    an_array_of_text="""
        torch.from_numpy(np.array(["a"]))
    """,
    not_an_array="""
        torch.from_numpy([1, 2])
    """,
    negative_strides="""
        torch.from_numpy(np.arange(3.0)[::-1])
    """,
    strided_arrays="""
        a = np.arange(12.0).reshape(3, 4)
        x = torch.from_numpy(a[:, ::2])
        print(x, x.stride(), x.is_contiguous())
        x.zero_()
        print(a)
        print(torch.from_numpy(a.T).stride())
    """,
    array_protocol="""
        import warnings
        warnings.simplefilter("ignore", DeprecationWarning)  # NumPy's, about PyTorch's own methods
        x = torch.arange(4.0)
        print(np.asarray(x).dtype, np.array(x, dtype=np.float64), np.sin(x))
        print(type(np.add(x, 1)).__name__, type(x + np.ones(4, dtype=np.float32)).__name__)
    """,
    scalars_of_numpy="""
        x = torch.ones(2)
        print(x * np.float64(2), x + np.int64(1), (x * np.float32(0.5)).dtype)
        print(torch.tensor(np.float32(2)), torch.tensor(np.float64(2)), torch.tensor(np.int32(2)))
    """,
    lists_of_arrays_and_tensors="""
        print(torch.tensor([torch.tensor(1), torch.tensor(2)]))
        print(torch.stack([torch.from_numpy(a) for a in np.eye(2)]))
        print(torch.FloatTensor([1, 2]), torch.LongTensor([1, 2]), torch.Tensor([1, 2]))
        print(torch.Tensor(2, 3).shape, torch.FloatTensor(np.ones(2, np.float32)))
    """,
    constructors_by_type="""
        for name in ["Float", "Double", "Half", "BFloat16", "Long", "Int", "Short", "Char", "Byte",
                     "Bool"]:
            make = getattr(torch, name + "Tensor")
            print(name, make([1, 0]), make(2).shape, isinstance(torch.ones(1), make))
        print(torch.frombuffer(bytearray(b"abcd"), dtype=torch.uint8))
        print(torch.frombuffer(bytearray(8), dtype=torch.float32, count=1, offset=4))
    """,
    default_tensor_types="""
        for kind in ["torch.DoubleTensor", torch.HalfTensor, torch.FloatTensor]:
            torch.set_default_tensor_type(kind)
            print(torch.get_default_dtype(), torch.tensor([1.5]).type())
        for wrong in [torch.IntTensor, "torch.IntTensor", "torch.Nothing", "nobody.knows", "x", 3]:
            try:
                torch.set_default_tensor_type(wrong)
            except Exception as error:
                print(type(error), error)
        torch.set_default_tensor_type()
    """,
    warnings_given_each_time="""
        print(torch.is_warn_always_enabled())
        for wrong in [1, None]:
            try:
                torch.set_warn_always(wrong)
            except RuntimeError as error:
                print(error)
        print(torch.is_warn_always_enabled(), torch.set_warn_always(True))
        float(torch.ones(1, requires_grad=True))
    """,
    item="""
        print(torch.tensor(1.5).item(), torch.tensor([[3]]).item(), torch.tensor(True).item())
        print(type(torch.tensor(1.5).item()), type(torch.tensor(2).item()))
        torch.ones(2).item()
    """,
    python_numbers="""
        x = torch.tensor(2.5)
        print(float(x), int(x), bool(x), complex(x), round(float(x)), f"{x:.2f}", f"{x}")
        print([10, 20, 30][torch.tensor(1)], range(5)[torch.tensor(2)])
        print(len(torch.ones(3, 2)), 2.0 in torch.ones(2), 1 in torch.ones(2))
        bool(torch.ones(2))
    """,
    len_of_a_scalar="len(torch.tensor(1.0))",
    index_of_a_float="[1, 2][torch.tensor(1.0)]",
    iterating="""
        for row in torch.arange(6).reshape(3, 2):
            print(row)
        a, b = torch.tensor([1.0, 2.0])
        print(a, b, max(torch.tensor([1, 5, 3])), sum(torch.tensor([1, 2])))
        list(torch.tensor(1.0))
    """,
    tolist="""
        print(torch.arange(4).reshape(2, 2).tolist(), torch.tensor(1.5).tolist())
        print(torch.zeros(0).tolist())
        print(torch.tensor([True]).tolist(), torch.tensor([1.5], dtype=torch.bfloat16).tolist())
    """,
    bfloat16_to_numpy="torch.ones(2, dtype=torch.bfloat16).numpy()",
    deepcopy="""
        import copy
        x = torch.ones(2, requires_grad=True)
        y = copy.deepcopy(x)
        z = copy.copy(x)
        with torch.no_grad():
            y[0] = 5
            z[1] = 7
        print(x, y, z, y.requires_grad)
        base = torch.zeros(3)
        pair = copy.deepcopy([base, base[1:]])
        pair[0][1] = 4
        print(pair, base)
        copy.deepcopy(x * 2)
    """,
    pickle="""
        import pickle
        x = torch.arange(6.0).reshape(2, 3)
        y = pickle.loads(pickle.dumps(x.t()))
        print(y, y.stride(), y.dtype)
        print(pickle.loads(pickle.dumps(torch.float32)))
        print(pickle.loads(pickle.dumps(torch.Size([1, 2]))))
    """,
    hashing_and_equality="""
        x, y = torch.ones(2), torch.ones(2)
        print(x == y, {x: 1}[x], x is y, hash(x) == hash(x))
        print(x in [x], (x == None), (x != None))
    """,
    attributes="""
        x = torch.zeros(2, 3)
        print(x.shape, x.size(), x.size(0), x.dim(), x.ndim, x.numel(), x.nelement(), x.itemsize)
        print(x.dtype, x.device, x.layout, x.is_cuda, x.is_sparse, x.requires_grad, x.is_leaf)
        print(x.T.shape, x.mT.shape, x.storage_offset(), x[1].storage_offset(), x.is_contiguous())
        print(x.element_size(), x.nbytes, x.type(), x.get_device(), x.stride())
        print(torch.is_tensor(x), isinstance(x, torch.Tensor), isinstance(x, torch.FloatTensor))
        print(x.data_ptr() == x.data_ptr(), x.data_ptr() == x.view(-1).data_ptr())
    """,
    sizes="""
        s = torch.zeros(2, 3).shape
        print(s, s[0], s[:1], s == (2, 3), s + (4,), s.numel(), list(s), tuple(s), len(s), s[-1])
        a, b = s
        print(type(s[:1]).__name__, repr(torch.Size([1])), a * b, torch.zeros(s).shape)
    """,
    dtypes="""
        for d in [torch.float, torch.double, torch.half, torch.bfloat16, torch.long, torch.int,
                  torch.short, torch.uint8, torch.int8, torch.bool, torch.cfloat]:
            print(d, d.is_floating_point, d.is_complex, d.is_signed, d.itemsize)
        print(torch.finfo(torch.float32).eps, torch.finfo(torch.float32).max)
        print(torch.iinfo(torch.int32).max)
        print(torch.get_default_dtype(), torch.promote_types(torch.int32, torch.float16))
    """,
    default_dtype="""
        torch.set_default_dtype(torch.float64)
        print(torch.ones(1).dtype, torch.tensor([1.0]).dtype, (torch.tensor([1]) / 2).dtype)
        torch.set_default_dtype(torch.float32)
        torch.set_default_dtype(torch.int64)
    """,
    devices="""
        x = torch.zeros(1, device="cpu")
        print(x.device, torch.device("cpu"), x.to("cpu") is x, x.cpu() is x)
        print(torch.device("cpu") == x.device)
        print(torch.cuda.is_available(), torch.device("cuda:0").type, torch.device("cuda", 1).index)
        print(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    """,
    conversions="""
        x = torch.tensor([1.7, -1.7])
        print(x.int(), x.long(), x.bool(), x.double().dtype, x.half(), x.bfloat16(), x.byte().dtype)
        print(x.to(torch.float32) is x, x.float() is x, x.to(x.double()).dtype, x.type(torch.int32))
        print(x.type("torch.DoubleTensor").dtype, x.type_as(torch.zeros(1, dtype=torch.int64)))
    """,
    resizing="""
        x = torch.arange(4.0)
        print(x.resize_(2, 2), x.resize_(2))
        print(x.resize_as_(torch.zeros(1, 2)).shape)
        y = torch.zeros(3)
        y.set_(torch.ones(2))
        print(y)
    """,
)
def test_interchange(script):
    run_both(script)


def test_dlpack_goes_both_ways_without_a_copy():
    x = package.arange(6.0).reshape(2, 3)
    array = np.from_dlpack(x)
    x[0, 0] = 42
    assert array[0, 0] == 42
    given = np.arange(4.0)
    tensor = package.from_dlpack(given)
    given[1] = 7
    assert tensor.tolist() == [0.0, 7.0, 2.0, 3.0]


def test_memory_outlives_the_tensor():
    array = package.arange(100000.0).mul(2).numpy()
    package.zeros(100000)
    assert array[-1] == 199998


@pytest.mark.parametrize("kind", ["int32", "float64"])
def test_an_array_that_is_read_only_warns(kind):
    array = np.ones(2, kind)
    array.flags.writeable = False
    with pytest.warns(UserWarning, match="not writable"):
        package.from_numpy(array)


def test_numbers_of_tensors_with_history_warn_once_in_a_process():
    """PyTorch warns of the lost gradient at the first such line only."""
    code = (
        "import warnings, fakel; x = fakel.ones(1, requires_grad=True)\n"
        "with warnings.catch_warnings(record=True) as found:\n"
        "    warnings.simplefilter('always')\n"
        "    float(x); float(x); complex(x)\n"
        "print(*(w.message for w in found), sep='|')\n"
    )
    run = [sys.executable, "-c", code]
    found = subprocess.run(run, capture_output=True, text=True, check=True).stdout
    assert found == (
        "Converting a tensor with requires_grad=True to a scalar may lead to unexpected behavior.\n"
        "Consider using tensor.detach() first.\n"
    )
