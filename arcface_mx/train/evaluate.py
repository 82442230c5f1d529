"""Verification of a training state on the run's test sets."""

from __future__ import annotations

import os
from typing import Any, Dict, List

from arcface_mx.config import TrainConfig
from arcface_mx.data.bins import PairSet, read_pairs
from arcface_mx.errors import UserError
from arcface_mx.model import Embedder
from arcface_mx.network import embedding_arrays, embedding_symbol
from arcface_mx.train.checkpoint import RunState
from arcface_mx.verify.pairs import evaluate, pair_scores


class Evaluator:
    """Embeds and scores every --eval set of a run; call it with a RunState.

    Raises UserError at once where a set cannot be read or two have one name.
    """

    def __init__(self, config: TrainConfig, contexts: List[Any]) -> None:
        self._config, self._contexts = config, contexts
        self.sets: Dict[str, PairSet] = {}
        for path in config.data.eval:
            name = os.path.splitext(os.path.basename(path))[0]
            if name in self.sets:
                raise UserError("--eval %s: another set is called %s too; rename one" % (path, name))
            self.sets[name] = read_pairs(path)

    def __call__(self, state: RunState) -> Dict[str, Any]:
        """{"sets": {name: {"single", "mirror": metrics}}, "mean_accuracy": single crops, over the sets}."""
        side = self._config.data.image_size
        symbol = embedding_symbol(self._config)
        args, aux = embedding_arrays(symbol, side, state.arg_params, state.aux_params)
        embedder = Embedder(symbol, args, aux, self._contexts, (side, side), self._config.run.run)
        results = {name: _measure(embedder, pairs) for name, pairs in self.sets.items()}
        mean = sum(result["single"]["accuracy"] for result in results.values()) / max(1, len(results))
        return {"sets": results, "mean_accuracy": mean}

    def lines(self, results: Dict[str, Any]) -> List[str]:
        """What the log shows of a result."""
        return [
            "%s: accuracy %.2f ± %.2f %%, with mirror %.2f ± %.2f %%"
            % (
                name,
                100 * result["single"]["accuracy"],
                100 * result["single"]["std"],
                100 * result["mirror"]["accuracy"],
                100 * result["mirror"]["std"],
            )
            for name, result in results["sets"].items()
        ]


def _measure(embedder: Embedder, pairs: PairSet) -> Dict[str, Any]:
    plain, mirrored = embedder.embed_with_mirror(pairs.pixels())
    found = {}
    for kind, embeddings in (("single", plain), ("mirror", plain + mirrored)):
        scores = pair_scores(embeddings, pairs.left, pairs.right, pairs.path)
        found[kind] = evaluate(scores, pairs.same, name=pairs.path).to_json()
    return found
