"""Memory shared with NumPy, and values shared between storages without anybody noticing."""

import numpy as np

import fakel


def test_an_operator_recorded_before_a_write_from_outside_does_not_see_it():
    array = np.zeros(3, np.float32)
    tensor = fakel.from_numpy(array)
    later = tensor + 1
    array[:] = 100
    assert later.tolist() == [1, 1, 1]
    assert tensor.tolist() == [100, 100, 100]


def test_writes_go_into_the_shared_array_at_once():
    array = np.zeros((2, 3), np.float32)
    tensor = fakel.from_numpy(array)
    tensor[0] += 1
    assert array.tolist() == [[1, 1, 1], [0, 0, 0]]
    tensor.mul_(4)
    assert array.tolist() == [[4, 4, 4], [0, 0, 0]]


def test_two_tensors_on_one_array_see_each_other():
    array = np.zeros(2, np.float32)
    one, two = fakel.from_numpy(array), fakel.from_numpy(array)
    one.add_(3)
    assert two.tolist() == [3, 3]
    del array
    one.add_(1)
    assert two.tolist() == [4, 4]


def test_numpy_of_a_clone_is_memory_of_its_own():
    tensor = fakel.ones(3)
    twin = tensor.clone()
    tensor.numpy()[0] = 9
    assert twin.tolist() == [1, 1, 1]
    twin.numpy()[1] = 5
    assert tensor.tolist() == [9, 1, 1]
    assert twin.tolist() == [1, 5, 1]


def test_an_array_handed_out_follows_the_tensor_after_later_operations():
    tensor = fakel.zeros(4)
    array = tensor.numpy()
    tensor += 2
    tensor[1:3] = 7
    assert array.tolist() == [2, 7, 7, 2]
    strided = fakel.arange(6.0).view(2, 3).t()
    strided.numpy()[0, 1] = 50
    assert strided[0, 1].item() == 50


def test_a_strided_array_keeps_its_strides():
    array = np.arange(12, dtype=np.float64).reshape(3, 4)
    tensor = fakel.from_numpy(array[:, ::2])
    assert tensor.stride() == (4, 2)
    tensor.zero_()
    assert array[:, ::2].sum() == 0
    assert array[:, 1::2].sum() == 1 + 3 + 5 + 7 + 9 + 11


def test_a_write_between_recording_and_looking_is_not_seen():
    tensor = fakel.ones(3)
    double = tensor * 2
    tensor.zero_()
    assert double.tolist() == [2, 2, 2]
    assert tensor.tolist() == [0, 0, 0]


def test_a_small_write_into_a_large_tensor_does_not_copy_it():
    tensor = fakel.zeros(1000)
    tensor.tolist()
    address = tensor.data_ptr()
    for position in range(5):
        tensor[position] = 1
        tensor.tolist()
    assert tensor.data_ptr() == address
    assert tensor.sum().item() == 5
