"""Calling a module with other tensors in the place of its parameters and buffers."""

from collections import Counter
from contextlib import contextmanager

__all__ = ["functional_call"]


def functional_call(
    module, parameter_and_buffer_dicts, args=None, kwargs=None, *, tie_weights=True, strict=False
):
    """Call a module with the given tensors instead of its parameters and buffers.

    Args:
        module: the module; it is as before afterwards.
        parameter_and_buffer_dicts: a dictionary of names and tensors, or several.
        args: the arguments, a tuple or one value.
        kwargs: the keyword arguments.
        tie_weights: a parameter that has several names is replaced under all of them.
        strict: every parameter and buffer must be given, and nothing else.
    """
    if isinstance(parameter_and_buffer_dicts, dict):
        tensors = dict(parameter_and_buffer_dicts)
    else:
        tensors = _merged(parameter_and_buffer_dicts)
    named = {
        **dict(module.named_parameters(remove_duplicate=False)),
        **dict(module.named_buffers(remove_duplicate=False)),
    }
    if strict:
        _check_names(module, named, tensors)
    if tie_weights:
        tensors = _tied(named, tensors)
    if args is None:
        args = ()
    elif not isinstance(args, tuple):
        args = (args,)
    with _replaced(module, tensors):
        return module(*args, **(kwargs or {}))


def _merged(dictionaries):
    counts = Counter(name for each in dictionaries for name in each)
    repeated = [name for name, count in counts.items() if count > 1]
    if repeated:
        raise ValueError(
            f"{repeated} appeared in multiple dictionaries; "
            "behavior of functional call is ambiguous"
        )
    return {name: tensor for each in dictionaries for name, tensor in each.items()}


def _check_names(module, named, tensors):
    problems = []
    unexpected = sorted(tensors.keys() - named.keys())
    missing = sorted(named.keys() - tensors.keys())
    for kind, names in (("Unexpected", unexpected), ("Missing", missing)):
        if names:
            problems.append(f"{kind} key(s): {', '.join(map(repr, names))}.")
    if problems:
        lines = "\n\t".join(problems)
        raise RuntimeError(f"Error(s) in reparametrizing for {module._get_name()}:\n\t{lines}")


def _tied(named, tensors):
    """Give a tensor that is given under one name to all names of the same parameter."""
    names_of = {}
    for name, tensor in named.items():
        names_of.setdefault(id(tensor), []).append(name)
    tied = dict(tensors)
    for names in names_of.values():
        given = {id(tensors[name]): tensors[name] for name in names if name in tensors}
        if len(given) > 1:
            raise ValueError(
                f"functional_call got multiple values for keys {sorted(names)}, which are tied. "
                "Consider using tie_weights=False"
            )
        for tensor in given.values():
            tied.update(dict.fromkeys(names, tensor))
    return tied


@contextmanager
def _replaced(module, tensors):
    """Within this block the tensors stand in the module's tables."""
    before = []
    try:
        for name, tensor in tensors.items():
            owner, _, attribute = name.rpartition(".")
            submodule = module.get_submodule(owner)
            table = next(
                (t for t in (submodule._parameters, submodule._buffers) if attribute in t), None
            )
            if table is None:
                raise KeyError(f"{submodule._get_name()}.{attribute} is not a parameter or buffer")
            before.append((table, attribute, table[attribute]))
            table[attribute] = tensor
        yield
    finally:
        for table, attribute, tensor in reversed(before):
            table[attribute] = tensor
