"""Hooks of modules: registered per module or for all modules, and a call that runs them."""

from __future__ import annotations

import warnings
import weakref
from collections import OrderedDict

from fakel import autograd, ops
from fakel.autograd import Function
from fakel.recall import world
from fakel.tensor import Tensor

_global_forward_pre_hooks: OrderedDict = OrderedDict()
_global_forward_hooks: OrderedDict = OrderedDict()
_global_forward_hooks_with_kwargs: OrderedDict = OrderedDict()
_global_forward_hooks_always_called: OrderedDict = OrderedDict()
_global_backward_pre_hooks: OrderedDict = OrderedDict()
_global_backward_hooks: OrderedDict = OrderedDict()
_global_buffer_registration_hooks: OrderedDict = OrderedDict()
_global_module_registration_hooks: OrderedDict = OrderedDict()
_global_parameter_registration_hooks: OrderedDict = OrderedDict()
# Full and plain backward hooks cannot be mixed: True, False, or None while there are none.
_global_backward_kind = {"full": None}

_MIXED_BACKWARD_HOOKS = (
    "Cannot use both regular backward hooks and full backward hooks {where}. "
    "Please use only one of them."
)


class RemovableHandle:
    """What registering a hook returns: ``remove()``, or leaving a ``with``, unregisters it."""

    next_id = 0

    def __init__(self, hooks_dict, *, extra_dict=None):
        self.hooks_dict_ref = weakref.ref(hooks_dict)
        self.id = RemovableHandle.next_id
        RemovableHandle.next_id += 1
        extra = [extra_dict] if isinstance(extra_dict, dict) else extra_dict or ()
        self.extra_dict_ref = tuple(weakref.ref(each) for each in extra)

    def remove(self):
        """Unregister the hook; a second call does nothing."""
        world.changed()
        for reference in (self.hooks_dict_ref, *self.extra_dict_ref):
            hooks = reference()
            if hooks is not None:
                hooks.pop(self.id, None)

    def __getstate__(self):
        return self.hooks_dict_ref(), self.id, tuple(ref() for ref in self.extra_dict_ref)

    def __setstate__(self, state):
        hooks, self.id, extra = state
        self.hooks_dict_ref = weakref.ref(OrderedDict() if hooks is None else hooks)
        self.extra_dict_ref = tuple(weakref.ref(each) for each in extra if each is not None)
        RemovableHandle.next_id = max(RemovableHandle.next_id, self.id + 1)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, traceback):
        self.remove()


def _register(hooks, hook, *, prepend=False, flags=()):
    """Add a hook; ``flags`` are (dictionary, bool) pairs that remember the hook's options."""
    world.changed()
    handle = RemovableHandle(hooks, extra_dict=[flagged for flagged, _ in flags])
    hooks[handle.id] = hook
    for flagged, value in flags:
        if value:
            flagged[handle.id] = True
    if prepend:
        hooks.move_to_end(handle.id, last=False)
    return handle


def run_registration_hooks(hooks, module, name, value):
    """What is registered, after the hooks, each of which may replace it."""
    for hook in hooks.values():
        replaced = hook(module, name, value)
        if replaced is not None:
            value = replaced
    return value


def register_module_forward_pre_hook(hook):
    """Call ``hook(module, args)`` before the forward of every module."""
    return _register(_global_forward_pre_hooks, hook)


def register_module_forward_hook(hook, *, with_kwargs=False, always_call=False):
    """Call ``hook(module, args, output)`` after the forward of every module."""
    flags = (
        (_global_forward_hooks_with_kwargs, with_kwargs),
        (_global_forward_hooks_always_called, always_call),
    )
    return _register(_global_forward_hooks, hook, flags=flags)


def register_module_full_backward_pre_hook(hook):
    """Call ``hook(module, grad_output)`` before the backward of every module."""
    return _register(_global_backward_pre_hooks, hook)


def register_module_full_backward_hook(hook):
    """Call ``hook(module, grad_input, grad_output)`` after the backward of every module."""
    _set_global_backward_kind(full=True)
    return _register(_global_backward_hooks, hook)


def register_module_backward_hook(hook):
    """Like :func:`register_module_full_backward_hook`, for each module's last function only."""
    _set_global_backward_kind(full=False)
    return _register(_global_backward_hooks, hook)


def _set_global_backward_kind(*, full):
    if _global_backward_kind["full"] is (not full):
        raise RuntimeError(_MIXED_BACKWARD_HOOKS.format(where="as a global Module hook"))
    _global_backward_kind["full"] = full


def register_module_buffer_registration_hook(hook):
    """Call ``hook(module, name, buffer)`` whenever a buffer is registered; it may replace it."""
    return _register(_global_buffer_registration_hooks, hook)


def register_module_module_registration_hook(hook):
    """Call ``hook(module, name, submodule)`` whenever a submodule is registered."""
    return _register(_global_module_registration_hooks, hook)


def register_module_parameter_registration_hook(hook):
    """Call ``hook(module, name, parameter)`` whenever a parameter is registered."""
    return _register(_global_parameter_registration_hooks, hook)


def any_global_call_hook():
    """Say whether a hook of all modules takes part in calls."""
    return bool(
        _global_forward_hooks
        or _global_forward_pre_hooks
        or _global_backward_hooks
        or _global_backward_pre_hooks
    )


class ModuleHooks:
    """The part of Module that registers hooks on one module."""

    def register_forward_pre_hook(self, hook, *, prepend=False, with_kwargs=False):
        """Call ``hook(module, args)`` before each forward; it may return changed arguments.

        Args:
            hook: with ``with_kwargs`` it is called as ``hook(module, args, kwargs)`` and
                returns None or ``(args, kwargs)``.
            prepend: run before the hooks that are already there.
            with_kwargs: pass keyword arguments as well.
        """
        flags = ((self._forward_pre_hooks_with_kwargs, with_kwargs),)
        return _register(self._forward_pre_hooks, hook, prepend=prepend, flags=flags)

    def register_forward_hook(self, hook, *, prepend=False, with_kwargs=False, always_call=False):
        """Call ``hook(module, args, output)`` after each forward; it may return another output.

        Args:
            hook: with ``with_kwargs`` it is called as ``hook(module, args, kwargs, output)``.
            prepend: run before the hooks that are already there.
            with_kwargs: pass keyword arguments as well.
            always_call: call the hook even when the forward raises.
        """
        flags = (
            (self._forward_hooks_with_kwargs, with_kwargs),
            (self._forward_hooks_always_called, always_call),
        )
        return _register(self._forward_hooks, hook, prepend=prepend, flags=flags)

    def register_full_backward_pre_hook(self, hook, prepend=False):
        """Call ``hook(module, grad_output)`` before this module's backward; it may return
        another ``grad_output``."""
        return _register(self._backward_pre_hooks, hook, prepend=prepend)

    def register_full_backward_hook(self, hook, prepend=False):
        """Call ``hook(module, grad_input, grad_output)`` once the gradients of the module's
        inputs are known; it may return another ``grad_input``."""
        if self._is_full_backward_hook is False:
            raise RuntimeError(_MIXED_BACKWARD_HOOKS.format(where="on a single Module"))
        self._is_full_backward_hook = True
        return _register(self._backward_hooks, hook, prepend=prepend)

    def register_backward_hook(self, hook):
        """Like :meth:`register_full_backward_hook`, but sees only the module's last function."""
        if self._is_full_backward_hook is True:
            raise RuntimeError(_MIXED_BACKWARD_HOOKS.format(where="on a single Module"))
        self._is_full_backward_hook = False
        return _register(self._backward_hooks, hook)

    def _get_backward_hooks(self):
        """The backward hooks that apply to this module: (full ones, plain ones)."""
        full, plain = [], []
        for kind, hooks in (
            (_global_backward_kind["full"], _global_backward_hooks),
            (self._is_full_backward_hook, self._backward_hooks),
        ):
            if kind is not None:
                (full if kind else plain).extend(hooks.values())
        return full, plain

    def _get_backward_pre_hooks(self):
        """The hooks to call before this module's backward."""
        return [*_global_backward_pre_hooks.values(), *self._backward_pre_hooks.values()]


def call_with_hooks(module, args, kwargs):
    """Run a module's forward with all hooks that apply to it."""
    call = _Call(module, args, kwargs)
    try:
        return call.run()
    except Exception:
        call.run_hooks_that_are_always_called()
        raise


class _Call:
    """One call of a module that has hooks: its arguments and how far it has come."""

    def __init__(self, module, args, kwargs):
        self.module = module
        self.args = args
        self.kwargs = kwargs
        self.result = None
        self.called = set()

    def run(self):
        module = self.module
        self._run_pre_hooks()
        full_hooks, plain_hooks = module._get_backward_hooks()
        pre_hooks = module._get_backward_pre_hooks()
        boundary = _BackwardBoundary(module, full_hooks, pre_hooks)
        if boundary.needed:
            self.args = boundary.wrap_inputs(self.args)
        self.result = module.forward(*self.args, **self.kwargs)
        self._run_forward_hooks()
        if boundary.needed:
            self.result = boundary.wrap_outputs(self.result)
        if plain_hooks:
            _attach_plain_backward_hooks(module, plain_hooks, self.args, self.result)
        return self.result

    def _run_pre_hooks(self):
        module = self.module
        hooks = (*_global_forward_pre_hooks.items(), *module._forward_pre_hooks.items())
        for identity, hook in hooks:
            if identity in module._forward_pre_hooks_with_kwargs:
                changed = hook(module, self.args, self.kwargs)
                if changed is None:
                    continue
                if not (isinstance(changed, tuple) and len(changed) == 2):
                    raise RuntimeError(
                        "forward pre-hook must return None or a tuple "
                        f"of (new_args, new_kwargs), but got {changed}."
                    )
                self.args, self.kwargs = changed
            else:
                changed = hook(module, self.args)
                if changed is not None:
                    self.args = changed if isinstance(changed, tuple) else (changed,)

    def _run_forward_hooks(self):
        module = self.module
        for identity, hook in (*_global_forward_hooks.items(), *module._forward_hooks.items()):
            self.called.add(identity)
            self._run_forward_hook(identity, hook)

    def _run_forward_hook(self, identity, hook):
        with_kwargs = (
            identity in self.module._forward_hooks_with_kwargs
            or identity in _global_forward_hooks_with_kwargs
        )
        extra = (self.kwargs,) if with_kwargs else ()
        changed = hook(self.module, self.args, *extra, self.result)
        if changed is not None:
            self.result = changed

    def run_hooks_that_are_always_called(self):
        """After an error: run the hooks that asked for it; their own errors become warnings."""
        groups = (
            ("global module", _global_forward_hooks, _global_forward_hooks_always_called),
            ("module", self.module._forward_hooks, self.module._forward_hooks_always_called),
        )
        for kind, hooks, always_called in groups:
            for identity, hook in hooks.items():
                if identity not in always_called or identity in self.called:
                    continue
                try:
                    self._run_forward_hook(identity, hook)
                except Exception as error:  # the first error is the one to report
                    warnings.warn(
                        f"{kind} forward hook with ``always_call=True`` raised an exception "
                        f"that was silenced as another error was raised in forward: {error}",
                        stacklevel=4,
                    )


class BackwardHookFunction(Function):
    """The identity, with a callback that sees and may replace the gradients.

    The callback gets None for a gradient that does not exist if ``missing`` is None, else zeros.
    """

    @staticmethod
    def forward(ctx, callback, missing, *tensors):
        ctx.callback = callback
        ctx.missing = missing
        ctx.kinds = [(each.shape, each.dtype) for each in tensors]
        ctx.set_materialize_grads(False)
        outputs = tuple(each.view_as(each) for each in tensors)
        sources = zip(outputs, tensors, strict=True)
        fixed = [output for output, source in sources if not source.requires_grad]
        ctx.mark_non_differentiable(*fixed)
        return outputs

    @staticmethod
    def backward(ctx, *grads):
        if ctx.missing is None:
            return (None, None, *_materialized(ctx.callback(grads), ctx.kinds))
        return (None, None, *ctx.callback(_materialized(grads, ctx.kinds)))


def _materialized(grads, kinds):
    return tuple(
        ops.zeros(shape, dtype=dtype) if grad is None else grad
        for grad, (shape, dtype) in zip(grads, kinds, strict=True)
    )


class _BackwardBoundary:
    """Surrounds one call of a module by identities whose backward runs the module's hooks."""

    def __init__(self, module, hooks, pre_hooks):
        self.module = module
        self.hooks = hooks
        self.pre_hooks = pre_hooks
        self.needed = bool(hooks or pre_hooks)
        self.grad_outputs = None
        self.input_count = 0
        self.input_positions = None

    def wrap_inputs(self, args):
        self.input_count = len(args)
        wrapped, self.input_positions = _wrap_tensors(args, self._inputs_callback, 0)
        return wrapped

    def wrap_outputs(self, result):
        if isinstance(result, Tensor):
            return self._wrap_output_tuple((result,))[0]
        if isinstance(result, tuple):
            return self._wrap_output_tuple(result)
        warnings.warn(
            "For backward hooks to be called, module output should be a Tensor or a tuple of "
            f"Tensors but received {type(result)}",
            stacklevel=5,
        )
        return result

    def _wrap_output_tuple(self, results):
        self.output_count = len(results)
        wrapped, self.output_positions = _wrap_tensors(results, self._outputs_callback, None)
        return wrapped

    def _outputs_callback(self, grads):
        self.grad_outputs = _spread(grads, self.output_positions, self.output_count)
        for hook in self.pre_hooks:
            changed = hook(self.module, self.grad_outputs)
            if changed is not None:
                self.grad_outputs = _checked("pre hook", "grad_output", changed, self.grad_outputs)
        grads = tuple(self.grad_outputs[position] for position in self.output_positions)
        if self.input_positions is None:
            self._run_hooks_without_inputs()
        return grads

    def _inputs_callback(self, grads):
        if self.grad_outputs is None:
            return grads
        grad_inputs = _spread(grads, self.input_positions, self.input_count)
        for hook in self.hooks:
            changed = hook(self.module, grad_inputs, self.grad_outputs)
            if changed is not None:
                grad_inputs = _checked("hook", "grad_input", changed, grad_inputs)
        self.grad_outputs = None
        return tuple(grad_inputs[position] for position in self.input_positions)

    def _run_hooks_without_inputs(self):
        warnings.warn(
            "Full backward hook is firing when gradients are computed "
            "with respect to module outputs since no inputs require gradients. See "
            "https://docs.pytorch.org/docs/main/generated/torch.nn.Module.html"
            "#torch.nn.Module.register_full_backward_hook for more details.",
            stacklevel=5,
        )
        grad_inputs = (None,) * self.input_count
        for hook in self.hooks:
            changed = hook(self.module, grad_inputs, self.grad_outputs)
            if changed is not None and not _all_none(changed):
                raise RuntimeError(
                    "Backward hook for Modules where no input requires "
                    "gradient should always return None or None for all gradients."
                )
        self.grad_outputs = None


def _wrap_tensors(values, callback, missing):
    """Send the tensors among ``values`` through BackwardHookFunction.

    Returns the new values and the tensors' positions, or None for the positions when no
    gradient can come back.
    """
    positions = [i for i, each in enumerate(values) if isinstance(each, Tensor)]
    tensors = [values[i] for i in positions]
    if not (autograd.is_grad_enabled() and any(each.requires_grad for each in tensors)):
        return values, None
    wrapped = list(values)
    results = BackwardHookFunction.apply(callback, missing, *tensors)
    for position, tensor in zip(positions, results, strict=True):
        wrapped[position] = tensor
    if type(values) is tuple:
        return tuple(wrapped), positions
    return type(values)(*wrapped), positions  # a named tuple


def _spread(values, positions, count):
    """A tuple of ``count`` entries with the values at their positions and None elsewhere."""
    spread = [None] * count
    for position, value in zip(positions, values, strict=True):
        spread[position] = value
    return tuple(spread)


def _all_none(values):
    return isinstance(values, tuple) and all(each is None for each in values)


def _checked(kind, what, changed, expected):
    changed = (changed,) if isinstance(changed, Tensor) else changed
    if len(changed) != len(expected):
        raise RuntimeError(
            f"Backward {kind} returned an invalid number of {what}, "
            f"got {len(changed)}, but expected {len(expected)}"
        )
    return tuple(changed)


def _attach_plain_backward_hooks(module, hooks, args, result):
    """Attach hooks of the old kind to the function that made the (first) result."""
    first = result
    while not isinstance(first, Tensor):
        if isinstance(first, dict):
            first = next(each for each in first.values() if isinstance(each, Tensor))
        else:
            first = first[0]
    if first.grad_fn is None:
        return
    for hook in hooks:
        first.grad_fn.register_hook(_bind(hook, module))
    _warn_if_hooks_miss_gradients(args, result, first.grad_fn)


def _bind(hook, module):
    return lambda grad_inputs, grad_outputs: hook(module, grad_inputs, grad_outputs)


def _warn_if_hooks_miss_gradients(args, result, grad_fn):
    problem = _what_plain_hooks_miss(args, result, grad_fn)
    if problem is not None:
        situation, missing, advice = problem
        warnings.warn(
            f"Using {situation} is deprecated and will be removed in future versions. "
            f"This hook will be missing {missing}.{advice}",
            FutureWarning,
            stacklevel=6,
        )


def _what_plain_hooks_miss(args, result, grad_fn):
    documented = " Please use register_full_backward_hook to get the documented behavior."
    results = (result,) if isinstance(result, Tensor) else result
    if not (isinstance(results, tuple) and all(isinstance(each, Tensor) for each in results)):
        situation = (
            "non-full backward hooks on a Module that does not return a single Tensor or a "
            "tuple of Tensors"
        )
        return situation, "some of the grad_output", documented
    if not all(isinstance(each, Tensor) for each in args):
        situation = (
            "non-full backward hooks on a Module that does not take as input a single Tensor "
            "or a tuple of Tensors"
        )
        return situation, "some of the grad_input", documented
    functions = {each.grad_fn for each in results if each.grad_fn is not None}
    if not functions or (len(functions) == 1 and grad_fn not in functions):
        situation = "a non-full backward hook when outputs are nested in python data structure"
        return situation, "some grad_output", ""
    if len(functions) > 1:
        situation = (
            "a non-full backward hook when outputs are generated by different autograd Nodes"
        )
        return situation, "some grad_output", documented
    inputs = {each.grad_fn for each in args if each.grad_fn is not None}
    if inputs != {function for function, _ in grad_fn.next_functions}:
        situation = "a non-full backward hook when the forward contains multiple autograd Nodes"
        return situation, "some grad_input", documented
    return None
