"""Compiled functions: calls that are replayed without running Python code, while guards hold.

A function runs as it is at first; then one call is observed (see ``episode.py``), together with
what it depends on (see ``guards.py``). From then on it is replayed. Where a guard fails, or where
the call did what cannot be replayed, the function runs as it is, which is always right: its
operators are recorded or recalled like any others.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from fakel.autograd.anomaly import anomaly
from fakel.autograd.modes import state as modes
from fakel.autograd.tape import saved_tensor_hooks
from fakel.graph import current_run, may_capture, recording
from fakel.recall import world
from fakel.recall.actions import observing
from fakel.recall.capture import SpoiltError
from fakel.recall.episode import Episode, Observation
from fakel.recall.guards import Guards, NoWatch, UnknownError, Watch
from fakel.recall.keys import Tensors, add_all_to_key
from fakel.tensor import Tensor, get_default_dtype

# calls that run as they are before one is observed: optimizers make their state in the first
_RUNS = 2
# observations that may fail, and episodes that are kept
_FAILURES, _EPISODES = 4, 32


class CompiledFunction:
    """Calls a function, or replays what it did.

    ``reason`` says why calls are not replayed, None where they are.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.runs: dict[Any, int] = {}
        self.episodes: dict[Any, list[tuple[Guards, Episode]]] = {}
        self.expected: dict[Any, tuple[Guards, Episode]] = {}  # by what stands for the episode
        self.failures = self.count = 0
        self.reason: str | None = None
        # what a call that could not be replayed was seen to read
        self.read: list[weakref.ref[Tensor]] = []

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if anomaly.enabled or saved_tensor_hooks or observing.episode or not may_capture():
            return self.function(*args, **kwargs)
        if self.expected and not kwargs:
            with recording():
                run = current_run()
                expected = None if run.state is None else run.state.expected
                if expected is not None and expected.function in self.expected:
                    guards, episode = self.expected[expected.function]
                    met = episode.meet(run, expected, args) if guards.hold() else None
                    if met is not None:
                        return episode.recall(run, expected, met)
        tensors = Tensors()
        parts: list[Any] = [modes.enabled, modes.inference, get_default_dtype(), *kwargs]
        if not add_all_to_key((*args, *kwargs.values()), parts, tensors, None):
            self.reason = "an argument is neither a tensor nor a simple value"
            return self.function(*args, **kwargs)
        key = tuple(parts)
        for guards, episode in self.episodes.get(key, ()):
            if guards.hold() and episode.fits(tensors):
                if episode.only is not None and not kwargs:
                    return episode.expect(episode.only, args, tensors)
                return episode.replay(tensors)
        runs = self.runs[key] = self.runs.get(key, 0) + 1
        if runs <= _RUNS or self.failures >= _FAILURES or self.count >= _EPISODES:
            return self.function(*args, **kwargs)
        return self._observed(key, tensors, args, kwargs)

    def _observed(
        self, key: Any, tensors: list[Tensor], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        others = self._others(tensors)
        epoch = world.epoch
        watch = self._watch()
        observation = Observation(tensors, others, watch)

        def observed() -> Any:
            with watch:
                return self.function(*args, **kwargs)

        observation.open()
        try:
            result = observed()
        except BaseException:
            observation.close([])
            raise
        try:
            episode = observation.episode(result)
            guards = self._guards(watch)
            if world.epoch != epoch:
                raise UnknownError("it changes a module")
            known = {id(tensor) for tensor in (*tensors, *others)}
            if any(id(tensor) not in known for tensor in guards.tensors):
                raise UnknownError("it reads tensors that were not known beforehand")
        except (SpoiltError, UnknownError) as error:
            self.failures += 1
            self.reason = str(error)
            self.read = [weakref.ref(tensor) for tensor in self._tensors(watch)]
            return result
        self.reason = None
        self.count += 1
        self.episodes.setdefault(key, []).insert(0, (guards, episode))
        if episode.only is not None:
            self.expected[episode.function] = guards, episode
        return result

    def _watch(self) -> Watch:
        return Watch(self.function)

    def _guards(self, watch: Watch) -> Guards:
        return Guards(self.function, watch)

    def _others(self, tensors: list[Tensor]) -> list[Tensor]:
        """The tensors that the function may read from elsewhere, but for these."""
        watch = self._watch()
        if watch.function is not None:
            watch.add(watch.function)
        found = {id(tensor): tensor for tensor in self._tensors(watch)}
        found.update((id(each), each) for r in self.read if (each := r()) is not None)
        known = {id(tensor) for tensor in tensors}
        return [tensor for key, tensor in found.items() if key not in known]

    def _tensors(self, watch: Watch) -> list[Tensor]:
        try:
            return self._guards(watch).tensors
        except UnknownError:
            return []


class CompiledLayers(CompiledFunction):
    """Calls layers one after the other, or replays what they did: fakel's own layers alone, whose
    code depends on nothing but what they hold.

    Args:
        layers: the container, which has a method ``run_layers``; it is not kept alive.
    """

    def __init__(self, layers: Any) -> None:
        self.layers: Callable[[], Any] = weakref.ref(layers)
        reference: Any = self.layers
        super().__init__(lambda input: reference().run_layers(input))

    def _watch(self) -> Watch:
        return NoWatch()

    def _guards(self, watch: Watch) -> Guards:
        layers = self.layers()
        for each in layers.modules():
            hooked = any(each.__dict__[name] for name in world.HOOKS)
            if hooked or type(each).__module__.split(".")[:2] != ["fakel", "nn"]:
                raise UnknownError(f"{type(each).__name__} is not fakel's own, or has hooks")
        return Guards(layers, watch)


_MODES = ("default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs")
_BACKENDS = ("inductor", "eager", "aot_eager", "cudagraphs")


def check_options(
    *,
    fullgraph: bool = False,
    dynamic: bool | None = None,
    backend: Any = "inductor",
    mode: str | None = None,
    options: dict[str, Any] | None = None,
    disable: bool = False,
) -> None:
    """Refuses options of ``torch.compile`` that PyTorch does not know or that mean nothing here.

    Raises:
        RuntimeError: for these.
    """
    if mode is not None and options is not None:
        raise RuntimeError(
            "Either mode or options can be specified, but both can't be specified at the same time."
        )
    if mode is not None and mode not in _MODES:
        raise RuntimeError(f"Unrecognized mode={mode}, should be one of: {', '.join(_MODES)}")
    if options:
        raise RuntimeError(f"Unexpected optimization option {next(iter(options))}")
    if backend not in _BACKENDS:
        raise RuntimeError(f"fakel has no backend {backend!r}, only {', '.join(_BACKENDS)}")
