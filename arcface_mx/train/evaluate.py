"""Verification of a training state on the verification sets of a run."""

from __future__ import annotations

from typing import Any, Dict, List, Sequence

from arcface_mx.data.bins.read import PairSet, read_pairs
from arcface_mx.model.backbone import Backbone
from arcface_mx.model.embedder import Embedder
from arcface_mx.train.state import RunState
from arcface_mx.util.errors import UserError
from arcface_mx.verify.sets import SetResult, set_name, verify_set


class Evaluator:
    """Embeds and scores verification sets; call it with a RunState.

    Parameters
    ----------
    backbone : Backbone
    paths : sequence of str
        Verification sets, .bin files.
    contexts : list of Context
    name : str
        Name of the run, for messages.

    Raises
    ------
    UserError
        If a set cannot be read or two sets have one name.
    """

    def __init__(self, backbone: Backbone, paths: Sequence[str], contexts: List[Any], name: str) -> None:
        self._backbone, self._contexts, self._name = backbone, contexts, name
        self.sets: Dict[str, PairSet] = {}
        for path in paths:
            if set_name(path) in self.sets:
                raise UserError(f"`eval` {path}: another set is called {set_name(path)} too; rename one")
            self.sets[set_name(path)] = read_pairs(path)

    def __call__(self, state: RunState) -> List[SetResult]:
        symbol, side = self._backbone.symbol(), self._backbone.image_size
        arrays = self._backbone.arrays_of(symbol, state.arg_params, state.aux_params)
        embedder = Embedder(symbol, *arrays, self._contexts, (side, side), self._name)
        return [verify_set(embedder, pairs) for pairs in self.sets.values()]


def mean_accuracy(results: List[SetResult]) -> float:
    """Mean over the sets of the accuracy without flip test."""
    return sum(result.none.accuracy for result in results) / len(results)
