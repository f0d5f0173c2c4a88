"""Training: a trainer for all recipes, with metrics, optimizers, schedules, augmentation and costs."""

from nas.training.augment import Augment, colour_jitter
from nas.training.batch import VOID, Batch
from nas.training.cost import Cost, cost
from nas.training.ema import ema_update
from nas.training.evaluate import evaluate
from nas.training.folds import pooled_miou, train_fold, train_folds
from nas.training.latency import latency_ms
from nas.training.metrics import Confusion, Scores
from nas.training.optimizers import SGD, Adam, AdamW
from nas.training.protocols import Data, Loss, Method, Optimizer, PretextTask, Schedule, Split
from nas.training.schedules import Constant, Cosine, Poly
from nas.training.trainer import Plan, Trained, TrainingError, class_pixels, train

__all__ = [
    "SGD",
    "VOID",
    "Adam",
    "AdamW",
    "Augment",
    "Batch",
    "Confusion",
    "Constant",
    "Cosine",
    "Cost",
    "Data",
    "Loss",
    "Method",
    "Optimizer",
    "Plan",
    "Poly",
    "PretextTask",
    "Schedule",
    "Scores",
    "Split",
    "Trained",
    "TrainingError",
    "class_pixels",
    "colour_jitter",
    "cost",
    "ema_update",
    "evaluate",
    "latency_ms",
    "pooled_miou",
    "train",
    "train_fold",
    "train_folds",
]
