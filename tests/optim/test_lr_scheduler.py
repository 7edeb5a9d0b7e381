"""Every schedule, found by discovery, does what PyTorch's does."""

import copy
import inspect
import warnings
from collections import Counter

import pytest

import fakel
from fakel.optim import lr_scheduler

torch = pytest.importorskip("torch")

STEPS = 30
# Plain schedules: name -> settings. Functions are given by name, each library gets its own copy.
SETTINGS = {
    "LambdaLR": [{"lr_lambda": lambda epoch: 0.9**epoch}],
    "MultiplicativeLR": [{"lr_lambda": [lambda epoch: 0.9, lambda epoch: 1 / (1 + epoch)]}],
    "StepLR": [{"step_size": 4}, {"step_size": 3, "gamma": 0.5}],
    "MultiStepLR": [{"milestones": [3, 7, 7, 20], "gamma": 0.5}],
    "ConstantLR": [{}, {"factor": 0.5, "total_iters": 10}],
    "LinearLR": [{}, {"start_factor": 0.1, "end_factor": 0.5, "total_iters": 12}],
    "ExponentialLR": [{"gamma": 0.9}],
    "PolynomialLR": [{}, {"total_iters": 20, "power": 2.0}],
    "CosineAnnealingLR": [{"T_max": 10}, {"T_max": 7, "eta_min": 0.01}],
    "CosineAnnealingWarmRestarts": [{"T_0": 5}, {"T_0": 3, "T_mult": 2, "eta_min": 0.01}],
    "OneCycleLR": [
        {"max_lr": 0.5, "total_steps": 40},
        {"max_lr": [0.5, 1.0], "epochs": 5, "steps_per_epoch": 8, "anneal_strategy": "linear"},
        {"max_lr": 0.5, "total_steps": 35, "three_phase": True, "pct_start": 0.2},
        {"max_lr": 0.5, "total_steps": 35, "cycle_momentum": False},
    ],
    "CyclicLR": [
        {"base_lr": 0.01, "max_lr": 0.5, "step_size_up": 4},
        {"base_lr": 0.01, "max_lr": 0.5, "step_size_up": 4, "mode": "triangular2"},
        {"base_lr": 0.01, "max_lr": [0.5, 0.3], "step_size_up": 4, "step_size_down": 7,
         "mode": "exp_range", "gamma": 0.9},
        {"base_lr": 0.01, "max_lr": 0.5, "step_size_up": 4, "scale_fn": lambda x: 1 / x},
        {"base_lr": 0.01, "max_lr": 0.5, "step_size_up": 4, "cycle_momentum": False},
    ],
}  # fmt: skip
OTHERS = {"ReduceLROnPlateau", "SequentialLR", "ChainedScheduler", "LRScheduler", "_LRScheduler"}
SCHEDULES = {
    name: kind
    for name, kind in vars(lr_scheduler).items()
    if inspect.isclass(kind) and issubclass(kind, lr_scheduler.LRScheduler)
}
CASES = [(name, setting) for name in sorted(SETTINGS) for setting in SETTINGS[name]]


def optimizer_of(library, name="SGD", **options):
    weights = [library.ones(2, requires_grad=True) for _ in range(2)]
    groups = [{"params": weights[:1]}, {"params": weights[1:], "lr": 0.3}]
    if name == "SGD":
        options = {"momentum": 0.5} | options
    return getattr(library.optim, name)(groups, **({"lr": 0.1} | options))


def schedule(library, optimizer, name, setting):
    return getattr(library.optim.lr_scheduler, name)(optimizer, **setting)


def group_numbers(optimizer):
    """The options of every group that a schedule may change."""
    names = ("lr", "momentum", "betas", "initial_lr", "max_lr", "min_lr")
    return [
        [float(x) for name in names if name in group for x in _listed(group[name])]
        for group in optimizer.param_groups
    ]


def _listed(value):
    return value if isinstance(value, tuple) else (value,)


def trace(library, make, steps=STEPS, step=lambda scheduler, _: scheduler.step(), **options):
    """The groups' options over many epochs, and the schedule at their end."""
    optimizer = optimizer_of(library, **options)
    scheduler = make(library, optimizer)
    numbers = [group_numbers(optimizer)]
    for epoch in range(steps):
        optimizer.step()
        step(scheduler, epoch)
        numbers.append(group_numbers(optimizer))
        assert [float(lr) for lr in scheduler.get_last_lr()] == [
            float(group["lr"]) for group in optimizer.param_groups
        ]
    return numbers, scheduler


def assert_close(mine, theirs, tolerance=1e-12):
    if isinstance(theirs, (list, tuple)):
        assert len(mine) == len(theirs)
        for entry, other in zip(mine, theirs):
            assert_close(entry, other, tolerance)
    elif isinstance(theirs, dict):
        assert mine.keys() == theirs.keys()
        for key in theirs:
            assert_close(mine[key], theirs[key], tolerance)
    elif isinstance(theirs, float):
        assert mine == pytest.approx(theirs, rel=tolerance, abs=tolerance)
    else:
        assert mine == theirs


def test_every_schedule_has_a_case():
    assert set(SCHEDULES) == set(SETTINGS) | OTHERS


@pytest.mark.parametrize("name", sorted(SCHEDULES))
def test_signature(name):
    mine = inspect.signature(SCHEDULES[name].__init__)
    theirs = inspect.signature(getattr(torch.optim.lr_scheduler, name).__init__)
    assert [(p.name, p.kind, p.default) for p in mine.parameters.values()] == [
        (p.name, p.kind, p.default) for p in theirs.parameters.values()
    ]


@pytest.mark.parametrize("kind", ["SGD", "Adam"])
@pytest.mark.parametrize(("name", "setting"), CASES)
def test_same_numbers(name, setting, kind):
    def make(library, optimizer):
        return schedule(library, optimizer, name, setting)

    mine, my_schedule = trace(fakel, make, name=kind)
    theirs, their_schedule = trace(torch, make, name=kind)
    assert_close(mine, theirs)
    assert_close(my_schedule.state_dict(), their_schedule.state_dict())


@pytest.mark.parametrize(("name", "setting"), CASES)
def test_checkpoints_both_ways(name, setting):
    for first, second in ((fakel, torch), (torch, fakel)):
        one = optimizer_of(first)
        saved = schedule(first, one, name, setting)
        for _ in range(6):
            one.step()
            saved.step()
        other = optimizer_of(second)
        loaded = schedule(second, other, name, setting)
        state = copy.deepcopy(saved.state_dict())
        loaded.load_state_dict(state)
        for group, values in zip(other.param_groups, one.param_groups):
            group.update({key: value for key, value in values.items() if key != "params"})
        for _ in range(10):
            one.step()
            other.step()
            saved.step()
            loaded.step()
            assert_close(group_numbers(other), group_numbers(one))


@pytest.mark.parametrize(("name", "setting"), CASES)
def test_going_on_from_an_epoch(name, setting):
    numbers = []
    for library in (fakel, torch):
        optimizer = optimizer_of(library)
        schedule(library, optimizer, name, setting)
        again = schedule(library, optimizer, name, setting | {"last_epoch": 4})
        values = [group_numbers(optimizer)]
        for _ in range(8):
            optimizer.step()
            again.step()
            values.append(group_numbers(optimizer))
        numbers.append(values)
    assert_close(*numbers)


@pytest.mark.parametrize(("name", "setting"), CASES)
def test_learning_rate_in_a_tensor(name, setting):
    numbers = []
    for library in (fakel, torch):
        weight = library.ones(2, requires_grad=True)
        groups = [{"params": [weight]}, {"params": [library.ones(2, requires_grad=True)]}]
        optimizer = library.optim.SGD(groups, lr=library.tensor(0.25), momentum=0.5)
        rate = optimizer.param_groups[0]["lr"]
        scheduler = schedule(library, optimizer, name, setting)
        values = []
        for _ in range(8):
            optimizer.step()
            scheduler.step()
            values.append(group_numbers(optimizer))
        assert optimizer.param_groups[0]["lr"] is rate
        numbers.append(values)
    assert_close(*numbers, tolerance=1e-6)


@pytest.mark.parametrize(
    ("name", "setting"),
    [(n, s) for n, s in CASES if hasattr(SCHEDULES[n], "_get_closed_form_lr")]
    + [("CosineAnnealingWarmRestarts", s) for s in SETTINGS["CosineAnnealingWarmRestarts"]],
)
def test_given_epochs(name, setting):
    numbers = []
    for library in (fakel, torch):
        optimizer = optimizer_of(library)
        scheduler = schedule(library, optimizer, name, setting)
        optimizer.step()
        values = []
        for epoch in (1, 2, 5, 3, 17):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                scheduler.step(epoch)
            values.append(group_numbers(optimizer))
        numbers.append(values)
    assert_close(*numbers)


METRICS = [
    5,
    4,
    4,
    4,
    4,
    4,
    3.9999,
    3.9999,
    3,
    3,
    3,
    3,
    3,
    3,
    3,
    3,
    3,
    1,
    1,
    1,
    1,
    1,
    1,
    1,
    1,
    1,
    1,
]


@pytest.mark.parametrize(
    "setting",
    [
        {},
        {"patience": 2},
        {"patience": 1, "cooldown": 3, "factor": 0.5},
        {"mode": "max", "patience": 3, "threshold_mode": "abs", "threshold": 0.5},
        {"patience": 0, "min_lr": [0.01, 0.05], "threshold_mode": "abs"},
        {"mode": "max", "patience": 1, "eps": 0.02},
    ],
)
def test_plateau(setting):
    def make(library, optimizer):
        return library.optim.lr_scheduler.ReduceLROnPlateau(optimizer, **setting)

    def step(scheduler, epoch):
        scheduler.step(METRICS[epoch])

    mine, my_schedule = trace(fakel, make, len(METRICS), step)
    theirs, their_schedule = trace(torch, make, len(METRICS), step)
    assert_close(mine, theirs)
    assert_close(my_schedule.state_dict(), their_schedule.state_dict())


def test_plateau_takes_a_tensor_and_a_new_group():
    optimizer = optimizer_of(fakel)
    scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, factor=0.5)
    optimizer.add_param_group({"params": [fakel.ones(1, requires_grad=True)], "lr": 1.0})
    for _ in range(2):
        scheduler.step(fakel.tensor(1.0))
    assert [group["lr"] for group in optimizer.param_groups] == [0.05, 0.15, 0.5]


def sequential(library, optimizer):
    schedules = library.optim.lr_scheduler
    parts = [
        schedules.LinearLR(optimizer, start_factor=0.1, total_iters=5),
        schedules.CosineAnnealingLR(optimizer, T_max=8),
        schedules.ExponentialLR(optimizer, gamma=0.9),
    ]
    return schedules.SequentialLR(optimizer, parts, milestones=[5, 14])


def chained(library, optimizer):
    schedules = library.optim.lr_scheduler
    parts = [
        schedules.ConstantLR(optimizer, factor=0.1, total_iters=4),
        schedules.ExponentialLR(optimizer, gamma=0.9),
    ]
    return schedules.ChainedScheduler(parts, optimizer)


def nested(library, optimizer):
    decay = library.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.9)
    return library.optim.lr_scheduler.ChainedScheduler([decay, sequential(library, optimizer)])


@pytest.mark.parametrize("make", [sequential, chained, nested])
def test_combined(make):
    with warnings.catch_warnings():
        # A schedule that takes over notices that it steps before the optimizer did.
        warnings.simplefilter("ignore")
        mine, my_schedule = trace(fakel, make)
        theirs, their_schedule = trace(torch, make)
        assert_close(mine, theirs)
        assert_close(my_schedule.state_dict(), their_schedule.state_dict())
        other = make(fakel, optimizer_of(fakel))
        other.load_state_dict(copy.deepcopy(their_schedule.state_dict()))
        assert_close(other.state_dict(), their_schedule.state_dict())


def swalr(library, optimizer, **setting):
    return library.optim.swa_utils.SWALR(optimizer, **setting)


@pytest.mark.parametrize(
    "setting",
    [
        {"swa_lr": 0.05},
        {"swa_lr": [0.05, 0.2], "anneal_epochs": 5, "anneal_strategy": "linear"},
        {"swa_lr": 0.05, "anneal_epochs": 0},
    ],
)
def test_swalr(setting):
    def make(library, optimizer):
        return swalr(library, optimizer, **setting)

    mine, my_schedule = trace(fakel, make)
    theirs, their_schedule = trace(torch, make)
    assert_close(mine, theirs)
    assert_close(my_schedule.state_dict(), their_schedule.state_dict())


def steps(scheduler, count):
    for _ in range(count):
        scheduler.step()


MISTAKES = {
    "no optimizer": lambda s, o: s.StepLR(3, 1),
    "no optimizer for a plateau": lambda s, o: s.ReduceLROnPlateau(3),
    "resumed without checkpoint": lambda s, o: s.StepLR(o, 1, last_epoch=3),
    "functions": lambda s, o: s.LambdaLR(o, [abs]),
    "no function": lambda s, o: s.MultiplicativeLR(o, 0.5),
    "constant": lambda s, o: s.ConstantLR(o, factor=2.0),
    "linear start": lambda s, o: s.LinearLR(o, start_factor=0.0),
    "linear end": lambda s, o: s.LinearLR(o, end_factor=2.0),
    "restarts": lambda s, o: s.CosineAnnealingWarmRestarts(o, T_0=0),
    "restart factor": lambda s, o: s.CosineAnnealingWarmRestarts(o, T_0=1, T_mult=0),
    "restart minimum": lambda s, o: s.CosineAnnealingWarmRestarts(o, T_0=1, eta_min="0"),
    "restart epoch": lambda s, o: s.CosineAnnealingWarmRestarts(o, T_0=1).step(-1),
    "one cycle": lambda s, o: s.OneCycleLR(o, 0.1),
    "one cycle steps": lambda s, o: s.OneCycleLR(o, 0.1, total_steps=0),
    "one cycle epochs": lambda s, o: s.OneCycleLR(o, 0.1, epochs=-1, steps_per_epoch=2),
    "one cycle steps per epoch": lambda s, o: s.OneCycleLR(o, 0.1, epochs=1, steps_per_epoch=0),
    "one cycle start": lambda s, o: s.OneCycleLR(o, 0.1, total_steps=5, pct_start=2.0),
    "one cycle form": lambda s, o: s.OneCycleLR(o, 0.1, total_steps=5, anneal_strategy="no"),
    "one cycle rates": lambda s, o: s.OneCycleLR(o, [0.1], total_steps=5),
    "one cycle too long": lambda s, o: steps(s.OneCycleLR(o, 0.1, total_steps=2), 3),
    "cycle mode": lambda s, o: s.CyclicLR(o, 0.1, 0.2, mode="no"),
    "cycle rates": lambda s, o: s.CyclicLR(o, [0.1], 0.2),
    "plateau factor": lambda s, o: s.ReduceLROnPlateau(o, factor=1.0),
    "plateau mode": lambda s, o: s.ReduceLROnPlateau(o, mode="no"),
    "plateau threshold": lambda s, o: s.ReduceLROnPlateau(o, threshold_mode="no"),
    "plateau minima": lambda s, o: s.ReduceLROnPlateau(o, min_lr=[0.1]),
    "nothing in sequence": lambda s, o: s.SequentialLR(o, [], []),
    "milestones": lambda s, o: s.SequentialLR(o, [s.StepLR(o, 1)], [1]),
    "plateau in sequence": lambda s, o: s.SequentialLR(o, [s.ReduceLROnPlateau(o)], []),
    "no schedule in sequence": lambda s, o: s.SequentialLR(o, [3], []),
    "nothing in chain": lambda s, o: s.ChainedScheduler([]),
    "base class": lambda s, o: s.LRScheduler(o),
}


@pytest.mark.parametrize("name", sorted(MISTAKES))
def test_mistakes(name):
    errors = []
    for library in (fakel, torch):
        with warnings.catch_warnings(), pytest.raises(Exception) as caught:
            warnings.simplefilter("ignore")
            MISTAKES[name](library.optim.lr_scheduler, optimizer_of(library))
        errors.append((caught.type, str(caught.value)))
    assert errors[0] == errors[1]


def test_momentum_is_needed_to_cycle_it():
    errors = []
    for library in (fakel, torch):
        optimizer = optimizer_of(library, "Adagrad")
        for name, setting in (("OneCycleLR", {"total_steps": 5}), ("CyclicLR", {"base_lr": 0.1})):
            with pytest.raises(ValueError) as caught:
                schedule(library, optimizer, name, {"max_lr": 0.1} | setting)
            errors.append(str(caught.value))
    assert errors[:2] == errors[2:]


def test_schedules_of_another_optimizer():
    errors = []
    for library in (fakel, torch):
        schedules = library.optim.lr_scheduler
        inner = schedules.StepLR(optimizer_of(library), 1)
        with pytest.raises(ValueError) as caught:
            schedules.SequentialLR(optimizer_of(library), [inner], [])
        errors.append(str(caught.value))
    assert errors[0] == errors[1]


def messages(action):
    """The warnings of the same action here and in PyTorch."""
    texts = []
    for library in (fakel, torch):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            action(library)
        texts.append([(w.category, str(w.message), w.filename) for w in caught])
    return texts


def test_wrong_order_warns():
    def action(library):
        lr = library.optim.lr_scheduler.StepLR(optimizer_of(library), 1)
        lr.step()
        lr.step()

    mine, theirs = messages(action)
    assert mine == theirs
    assert len(mine) == 1


def test_overridden_step_warns():
    def action(library):
        optimizer = optimizer_of(library)
        lr = library.optim.lr_scheduler.StepLR(optimizer, 1)
        optimizer.step = lambda: None
        lr.step()

    mine, theirs = messages(action)
    assert mine == theirs
    assert len(mine) == 1


def test_get_lr_warns():
    def action(library):
        library.optim.lr_scheduler.StepLR(optimizer_of(library), 1).get_lr()

    mine, theirs = messages(action)
    # PyTorch's points into its own file.
    assert [text[:2] for text in mine] == [text[:2] for text in theirs]
    assert mine[0][2] == __file__


def test_epoch_argument_warns():
    def action(library):
        optimizer = optimizer_of(library)
        lr = library.optim.lr_scheduler.StepLR(optimizer, 1)
        optimizer.step()
        lr.step(3)
        library.optim.lr_scheduler.ReduceLROnPlateau(optimizer).step(1.0, 2)

    mine, theirs = messages(action)
    assert mine == theirs
    assert len(mine) == 2


def test_callable_objects_are_kept_by_their_attributes():
    class Decay:
        def __init__(self, rate):
            self.rate = rate

        def __call__(self, epoch):
            return self.rate**epoch

    optimizer = optimizer_of(fakel)
    state = lr_scheduler.LambdaLR(optimizer, Decay(0.5)).state_dict()
    assert state["lr_lambdas"] == [{"rate": 0.5}] * 2
    other = lr_scheduler.LambdaLR(optimizer_of(fakel), Decay(0.9))
    other.load_state_dict(state)
    assert other.lr_lambdas[0].rate == 0.5


def test_milestones_are_counted():
    scheduler = lr_scheduler.MultiStepLR(optimizer_of(fakel), [3, 3, 5])
    assert scheduler.milestones == Counter({3: 2, 5: 1})


def test_own_schedules():
    class Half(lr_scheduler._LRScheduler):
        def get_lr(self):
            return [base * 0.5**self.last_epoch for base in self.base_lrs]

    optimizer = optimizer_of(fakel)
    scheduler = Half(optimizer)
    optimizer.step()
    scheduler.step()
    assert scheduler.get_last_lr() == [0.05, 0.15]
