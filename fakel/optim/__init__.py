"""Optimizers and learning rate schedules, as in ``torch.optim``."""

from fakel.optim import lr_scheduler, swa_utils
from fakel.optim._adafactor import Adafactor
from fakel.optim._muon import Muon
from fakel.optim.adadelta import Adadelta
from fakel.optim.adagrad import Adagrad
from fakel.optim.adam import Adam, AdamW
from fakel.optim.adamax import Adamax
from fakel.optim.asgd import ASGD
from fakel.optim.lbfgs import LBFGS
from fakel.optim.nadam import NAdam
from fakel.optim.optimizer import Optimizer
from fakel.optim.radam import RAdam
from fakel.optim.rmsprop import RMSprop
from fakel.optim.rprop import Rprop
from fakel.optim.sgd import SGD

__all__ = [
    "ASGD",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "LBFGS",
    "Muon",
    "NAdam",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "Rprop",
    "SGD",
    "lr_scheduler",
    "swa_utils",
]
