"""The entities of the learning app, one file per group."""

from training.models.datasets import Dataset, DatasetImage, DatasetKind
from training.models.runs import RunState, TrainingRun

__all__ = ["Dataset", "DatasetImage", "DatasetKind", "RunState", "TrainingRun"]
