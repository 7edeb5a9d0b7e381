"""``einsum``: sums of products in Einstein's notation, as a chain of batched matrix products."""

from __future__ import annotations

import math
from typing import Any

from fakel.autograd.tape import retitled
from fakel.ops.declare import operator
from fakel.ops.matmul import bmm
from fakel.tensor import Tensor

_ELLIPSIS = "."  # stands for "..." within a term
_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def _terms(equation: str, operands: list[Tensor]) -> tuple[list[list[str]], list[str]]:
    """The labels of each operand and of the result; "..." becomes labels of its own."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    parts = left.replace("...", _ELLIPSIS).split(",")
    if len(parts) < len(operands):
        raise RuntimeError("einsum(): more operands were provided than specified in the equation")
    if len(parts) > len(operands):
        raise RuntimeError("einsum(): fewer operands were provided than specified in the equation")
    widest = 0
    for position, (part, operand) in enumerate(zip(parts, operands, strict=True)):
        for letter in part:
            if letter != _ELLIPSIS and letter not in _LETTERS:
                raise RuntimeError(
                    f"einsum(): invalid subscript given at index {left.find(letter)} in the "
                    "equation string, "
                    "subscripts must be in [a-zA-Z]"
                )
        if part.count(_ELLIPSIS) > 1:
            raise RuntimeError(
                f"einsum(): found '.' for operand {position} for which an ellipsis was already "
                "found"
            )
        named = len(part) - part.count(_ELLIPSIS)
        if named > operand.ndim or (_ELLIPSIS not in part and named != operand.ndim):
            raise RuntimeError(
                f"einsum(): the number of subscripts in the equation ({named}) "
                + (
                    "is more than the number of dimensions"
                    if _ELLIPSIS in part
                    else "does not match the number of dimensions"
                )
                + f" ({operand.ndim}) for operand {position}"
                + ("" if _ELLIPSIS in part else " and no ellipsis was given")
            )
        if _ELLIPSIS in part:
            widest = max(widest, operand.ndim - named)
    hidden = [f"{_ELLIPSIS}{i}" for i in range(widest)]

    def spelled(part: str, ndim: int | None) -> list[str]:
        labels: list[str] = []
        for letter in part:
            if letter == _ELLIPSIS:
                count = widest if ndim is None else ndim - (len(part) - 1)
                labels += hidden[widest - count :]
            else:
                labels.append(letter)
        return labels

    inputs = [spelled(part, operand.ndim) for part, operand in zip(parts, operands, strict=True)]
    if arrow:
        right = right.replace("...", _ELLIPSIS)
        for letter in right:
            if right.count(letter) > 1 and letter != _ELLIPSIS:
                raise RuntimeError(
                    f"einsum(): output subscript {letter} appears more than once in the output"
                )
            if letter != _ELLIPSIS and letter not in left:
                raise RuntimeError(
                    f"einsum(): output subscript {letter} does not appear in the equation for any "
                    "input operand"
                )
        return inputs, spelled(right, None)
    every = [label for labels in inputs for label in labels]
    once = sorted({label for label in every if every.count(label) == 1 and label not in hidden})
    return inputs, hidden + once


def _without_repeats(operand: Tensor, labels: list[str]) -> tuple[Tensor, list[str]]:
    """Takes the diagonal of dimensions that share a label."""
    while len(set(labels)) < len(labels):
        label = next(each for each in labels if labels.count(each) > 1)
        first = labels.index(label)
        second = labels.index(label, first + 1)
        if operand._shape[first] != operand._shape[second]:
            raise RuntimeError(
                f"einsum(): subscript {label} is repeated for operand 0 but the sizes don't match, "
                f"{operand._shape[second]} != {operand._shape[first]}"
            )
        operand = operand.diagonal(0, first, second)
        labels = [each for d, each in enumerate(labels) if d not in (first, second)] + [label]
    return operand, labels


def _arranged(operand: Tensor, labels: list[str], wanted: list[str]) -> Tensor:
    """The dimensions in the wanted order; labels that are missing become dimensions of size 1."""
    operand = operand.permute([labels.index(label) for label in wanted if label in labels])
    for dim, label in enumerate(wanted):
        if label not in labels:
            operand = operand.unsqueeze(dim)
    return operand


def _product(
    a: Tensor, a_labels: list[str], b: Tensor, b_labels: list[str], kept: set[str]
) -> tuple[Tensor, list[str]]:
    """Multiplies two operands and sums over the labels that nothing else needs."""

    def size(label: str) -> tuple[int, int]:
        one = a._shape[a_labels.index(label)] if label in a_labels else 1
        two = b._shape[b_labels.index(label)] if label in b_labels else 1
        return one, two

    shared = [label for label in a_labels if label in b_labels]
    for label in [
        label
        for label in a_labels
        if label not in kept and (label not in shared or size(label)[1] == 1 != size(label)[0])
    ]:
        dim = a_labels.index(label)
        if label in shared:
            a = a.sum(dim, keepdim=True)
        else:
            a = a.sum(dim)
            a_labels = [each for each in a_labels if each != label]
    for label in [
        label
        for label in b_labels
        if label not in kept and (label not in shared or size(label)[0] == 1 != size(label)[1])
    ]:
        dim = b_labels.index(label)
        if label in shared:
            b = b.sum(dim, keepdim=True)
        else:
            b = b.sum(dim)
            b_labels = [each for each in b_labels if each != label]
    batch = [label for label in shared if label in kept]
    inner = [label for label in shared if label not in kept]
    rows = [label for label in a_labels if label not in shared]
    columns = [label for label in b_labels if label not in shared]
    sizes = {
        label: max(size(label)) if 0 not in size(label) else 0
        for label in [*batch, *inner, *rows, *columns]
    }
    shape = {"batch": batch, "rows": rows, "columns": columns, "inner": inner}
    count = {name: math.prod(sizes[label] for label in labels) for name, labels in shape.items()}
    left = _arranged(a, a_labels, batch + rows + inner).expand(
        [sizes[x] for x in batch + rows + inner]
    )
    right = _arranged(b, b_labels, batch + inner + columns).expand(
        [sizes[x] for x in batch + inner + columns]
    )
    product = bmm(
        left.reshape(count["batch"], count["rows"], count["inner"]),
        right.reshape(count["batch"], count["inner"], count["columns"]),
    )
    labels = batch + rows + columns
    return product.reshape([sizes[label] for label in labels]), labels


@operator(method=False, out=False)
def einsum(*args: Any) -> Tensor:
    """Sums of products of elements in Einstein's notation.

    ``einsum("ij,jk->ik", a, b)`` is a matrix product: an index letter that the result does not have
    is summed over. Operands may also be given as ``einsum(a, [0, 1], b, [1, 2], [0, 2])``.

    Raises:
        RuntimeError: when the equation does not fit the operands.
    """
    if not args:
        raise ValueError(
            "einsum(): must specify the equation string and at least one operand, or at least one "
            "operand and its subscripts list"
        )
    if isinstance(args[0], Tensor):
        args = _from_lists(args)
    equation, *rest = args
    operands = (
        list(rest[0]) if len(rest) == 1 and isinstance(rest[0], (tuple, list)) else list(rest)
    )
    if not operands:
        raise RuntimeError("einsum(): must provide at least one operand")
    inputs, output = _terms(equation, operands)
    known: dict[str, int] = {}
    prepared = []
    for position, (operand, labels) in enumerate(zip(operands, inputs, strict=True)):
        operand, labels = _without_repeats(operand, labels)
        for label, length in zip(labels, operand._shape, strict=True):
            if known.get(label, 1) != 1 and length not in (1, known[label]):
                raise RuntimeError(
                    f"einsum(): subscript {label} has size {length} for operand {position} which "
                    "does not "
                    f"broadcast with previously seen size {known[label]}"
                )
            known[label] = max(known.get(label, 1), length) if length else 0
        prepared.append((operand, labels))
    result, labels = prepared[0]
    for position, (operand, other) in enumerate(prepared[1:], 1):
        later = {label for _, each in prepared[position + 1 :] for label in each}
        result, labels = _product(result, labels, operand, other, later | set(output))
    gone = tuple(dim for dim, label in enumerate(labels) if label not in output)
    if gone:
        result = result.sum(gone)
        labels = [label for label in labels if label in output]
    summed = bool(gone) or len(set().union(*inputs)) > len(set(output))
    several = ("ViewBackward0" if summed else "MulBackward0") if len(inputs) > 1 else None
    title = several or ("SumBackward1" if summed else "PermuteBackward0")
    return retitled(_arranged(result, labels, output), title, operands)


def _from_lists(args: tuple[Any, ...]) -> tuple[Any, ...]:
    def letters(subscripts: Any) -> str:
        return "".join("..." if each is Ellipsis else _LETTERS[each] for each in subscripts)

    pairs = len(args) // 2
    equation = ",".join(letters(args[2 * i + 1]) for i in range(pairs))
    if len(args) % 2:
        equation += "->" + letters(args[-1])
    return equation, *(args[2 * i] for i in range(pairs))
