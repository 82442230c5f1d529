"""How often 95 % intervals contain the true value, in simulated verification sets whose pairs share identities.

    python recipes/bench/interval_coverage.py --out recipes/results

Each identity has a centre and a spread of its own, so that the pairs of an identity are alike. A set
draws new identities, images and pairs. The true values come from a population that is much larger.
"""

from __future__ import annotations

import argparse
import json
import os

import numpy as np

from arcface_mx.metrics.comparison import difference_of_best_accuracy
from arcface_mx.metrics.estimates import best_accuracy, estimate, estimates, influences, rates_at
from arcface_mx.metrics.identity_bootstrap import PairIdentities
from arcface_mx.metrics.verification import error_rates, evaluate
from arcface_mx.util.tables import markdown_table

DIMENSIONS = 16
# Identities, images of each, and same and different pairs of each identity with itself and with others.
DESIGNS = {"sparse": (500, 4, 2, 2), "dense": (150, 12, 10, 10)}
DIFFERENCE = "difference of best accuracy"  # not measured with pairs taken as independent
METRICS = ("accuracy", "EER", "TAR@FAR=1e-01", "TAR@FAR=1e-02", "FMR", "FNMR", DIFFERENCE)


def draw(
    random: np.random.RandomState, identities: int, images: int, same_pairs: int, different_pairs: int
) -> tuple[np.ndarray, np.ndarray, PairIdentities]:
    """Scores of two models (2, P), labels and identities of the pairs of new identities, in ten folds."""
    centres = random.randn(identities, 1, DIMENSIONS)
    spread = 0.75 * np.exp(0.35 * random.randn(identities, 1, 1))
    faces = centres + spread * random.randn(identities, images, DIMENSIONS)
    # The second model sees the same images, with noise of its own.
    models = np.stack([faces, faces + 0.2 * random.randn(*faces.shape)])
    models /= np.linalg.norm(models, axis=-1, keepdims=True)
    first = np.repeat(np.arange(identities), same_pairs + different_pairs)
    same = np.tile(np.arange(same_pairs + different_pairs) < same_pairs, identities)
    folds = np.arange(identities) * 10 // identities
    sizes = np.bincount(folds)
    starts = np.cumsum(sizes) - sizes
    fold = folds[first]
    offset = random.randint(1, 2**30, len(first)) % (sizes[fold] - 1) + 1
    second = np.where(same, first, starts[fold] + (first - starts[fold] + offset) % sizes[fold])
    left = random.randint(0, images, len(first))
    right = (left + random.randint(1, images, len(first))) % images
    scores = np.einsum("mpd,mpd->mp", models[:, first, left], models[:, second, right])
    return scores, same, PairIdentities(first, second)


def measure(scores: np.ndarray, same: np.ndarray, identities: PairIdentities, threshold: float) -> dict[str, tuple]:
    """(low, high) of each metric, also with pairs taken as independent."""
    alone = PairIdentities(np.arange(len(same)), np.arange(len(same)))
    naive: dict = {name: estimate(value, alone) for name, value in influences(scores[0], same).items()}
    naive["FMR"], naive["FNMR"] = rates_at(scores[0], same, alone, threshold)
    found: dict = dict(estimates(scores[0], same, identities))
    found["FMR"], found["FNMR"] = rates_at(scores[0], same, identities, threshold)
    found[DIFFERENCE] = naive[DIFFERENCE] = difference_of_best_accuracy(list(scores), same, identities)
    return {name: tuple((rates[name].low, rates[name].high) for rates in (found, naive)) for name in METRICS}


class Population:
    """True values, from many identities."""

    def __init__(self, design: tuple[int, ...], threshold: float, identities: int) -> None:
        scores, same, _ = draw(np.random.RandomState(12345), identities, *design[1:])
        rates = error_rates(scores[0], same)
        self.values = {
            "EER": rates.eer,
            **{f"TAR@FAR={far:.0e}": float(rates.tar_at_far[far] or 0) for far in (0.1, 0.01)},
            "FMR": float(np.mean(scores[0][~same] >= threshold)),
            "FNMR": float(np.mean(scores[0][same] < threshold)),
        }
        first, second = (best_accuracy(values, same).value for values in scores)
        self.values[DIFFERENCE] = first - second
        self._sorted = np.sort(scores[0][same]), np.sort(scores[0][~same])

    def accuracy(self, scores: np.ndarray, same: np.ndarray) -> float:
        """The accuracy of the first model in the population, at the thresholds that its folds chose."""
        matches, others = self._sorted
        thresholds = evaluate(scores[0], same).thresholds
        kept = 1 - np.searchsorted(matches, thresholds) / len(matches)
        return float(np.mean(kept + np.searchsorted(others, thresholds) / len(others)) / 2)


def simulate(design: str, sets: int, population: int, threshold: float = 0.45) -> dict[str, dict[str, float]]:
    """Coverage and mean width of the intervals of each metric over simulated sets."""
    truth = Population(DESIGNS[design], threshold, population)
    ends, chosen = [], []
    for seed in range(sets):
        scores, same, identities = draw(np.random.RandomState(seed), *DESIGNS[design])
        ends.append(measure(scores, same, identities, threshold))
        chosen.append(truth.accuracy(scores, same))
    # The accuracy of a method is that of the thresholds which it chooses on such sets.
    true = {**truth.values, "accuracy": float(np.mean(chosen))}
    results = {}
    for name in METRICS:
        limits = np.asarray([row[name] for row in ends])  # (sets, 2, 2)
        inside = (limits[..., 0] <= true[name]) & (true[name] <= limits[..., 1])
        width = float(np.mean(limits[:, 0, 1] - limits[:, 0, 0]))
        coverage, independent = inside.mean(axis=0).tolist()
        results[name] = {"true": true[name], "width": width, "coverage": coverage, "independent": independent}
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sets", type=int, default=1000, help="number of simulated sets (default: %(default)s)")
    parser.add_argument("--population", type=int, default=40_000, help="identities behind the true values")
    parser.add_argument("--designs", nargs="+", choices=DESIGNS, default=list(DESIGNS))
    parser.add_argument("--out", metavar="FOLDER", help="write coverage.json and coverage.md into FOLDER")
    args = parser.parse_args()
    results = {design: simulate(design, args.sets, args.population) for design in args.designs}
    rows = [["set", "metric", "true value", "mean width", "contains it %", "if pairs were independent %"]]
    for design, metrics in results.items():
        for name, row in metrics.items():
            shares = [f"{100 * row[key]:.1f}" for key in ("coverage", "independent")]
            shares[1] = "-" if name == DIFFERENCE else shares[1]
            rows.append([design, name, f"{row['true']:.4f}", f"{row['width']:.4f}", *shares])
    print(markdown_table(rows))
    if args.out:
        with open(os.path.join(args.out, "coverage.json"), "w", encoding="utf-8") as stream:
            json.dump({"sets": args.sets, "population": args.population, "results": results}, stream, indent=1)
            stream.write("\n")
        with open(os.path.join(args.out, "coverage.md"), "w", encoding="utf-8") as stream:
            stream.write(markdown_table(rows) + "\n")


if __name__ == "__main__":
    main()
