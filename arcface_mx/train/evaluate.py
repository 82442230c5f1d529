"""Verification of a training state on the run's test sets."""

from __future__ import annotations

from typing import Any, Dict, List

from arcface_mx.config import TrainConfig
from arcface_mx.data.bins.bins import PairSet, read_pairs
from arcface_mx.model import Embedder
from arcface_mx.model.backbone import embedding_arrays, embedding_symbol
from arcface_mx.train.state import RunState
from arcface_mx.util.errors import UserError
from arcface_mx.verify.sets import SetResult, set_name, verify_set


class Evaluator:
    """Embeds and scores every --eval set of a run; call it with a RunState.

    Raises UserError at once where a set cannot be read or two have one name.
    """

    def __init__(self, config: TrainConfig, contexts: List[Any]) -> None:
        self._config, self._contexts = config, contexts
        self.sets: Dict[str, PairSet] = {}
        for path in config.data.eval:
            name = set_name(path)
            if name in self.sets:
                raise UserError(f"--eval {path}: another set is called {name} too; rename one")
            self.sets[name] = read_pairs(path)

    def __call__(self, state: RunState) -> List[SetResult]:
        side = self._config.data.image_size
        symbol = embedding_symbol(self._config)
        args, aux = embedding_arrays(symbol, side, state.arg_params, state.aux_params)
        embedder = Embedder(symbol, args, aux, self._contexts, (side, side), self._config.run.run)
        return [verify_set(embedder, pairs) for pairs in self.sets.values()]


def mean_accuracy(results: List[SetResult]) -> float:
    """Mean over the sets of the accuracy without flip test."""
    return sum(result.none.accuracy for result in results) / len(results)
