"""Verification of a training state on the run's test sets."""

from __future__ import annotations

from typing import Any, Dict, List

from arcface_mx.config import TrainConfig
from arcface_mx.network import embedding_arrays, embedding_symbol
from arcface_mx.train.checkpoint import RunState


class Evaluator:
    def __init__(self, config: TrainConfig, contexts: List[Any]) -> None:
        self._config, self._contexts = config, contexts
