"""How often 95 % intervals contain the true value, in simulated verification sets whose pairs share identities.

    python recipes/bench/coverage.py --out recipes/results

Each identity has a centre and a spread of its own, so that the pairs of an identity are alike. A set
draws new identities, images and pairs. The true values come from a population that is much larger.
"""

from __future__ import annotations

import argparse
import json
import os

import numpy as np

from arcface_mx.metrics.comparison import difference
from arcface_mx.metrics.estimates import accuracy, estimate, influences, rates_at
from arcface_mx.metrics.identity_bootstrap import PairIdentities
from arcface_mx.metrics.verification import error_rates, evaluate
from arcface_mx.util.tables import markdown_table

DIMENSIONS = 16
# Identities, images of each, and same and different pairs of each identity with itself and with others.
DESIGNS = {"sparse": (500, 4, 2, 2), "dense": (150, 12, 10, 10)}
METRICS = ("accuracy", "EER", "TAR@FAR=1e-01", "TAR@FAR=1e-02", "FMR", "FNMR", "difference of accuracy")


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
    ours, other = influences(scores[0], same), accuracy(scores[1], same)
    ends: dict[str, tuple] = {}
    for who in (identities, alone):
        fmr, fnmr = rates_at(scores[0], same, who, threshold)
        found: dict = {name: estimate(value, who) for name, value in ours.items()}
        found.update({"FMR": fmr, "FNMR": fnmr, "difference of accuracy": difference(ours["accuracy"], other, who)})
        for name, rate in found.items():
            ends[name] = (*ends.get(name, ()), (rate.low, rate.high))
    return ends


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
        self._sorted = [(np.sort(values[same]), np.sort(values[~same])) for values in scores]

    def accuracies(self, scores: np.ndarray, same: np.ndarray) -> list[float]:
        """The accuracy of each model in the population, at the thresholds that its folds chose."""
        found = []
        for values, (matches, others) in zip(scores, self._sorted):
            thresholds = evaluate(values, same).thresholds
            kept = 1 - np.searchsorted(matches, thresholds) / len(matches)
            found.append(float(np.mean(kept + np.searchsorted(others, thresholds) / len(others)) / 2))
        return found


def simulate(design: str, sets: int, population: int, threshold: float = 0.45) -> dict[str, dict[str, float]]:
    """Coverage and mean width of the intervals of each metric over simulated sets."""
    truth = Population(DESIGNS[design], threshold, population)
    ends, chosen = [], []
    for seed in range(sets):
        scores, same, identities = draw(np.random.RandomState(seed), *DESIGNS[design])
        ends.append(measure(scores, same, identities, threshold))
        chosen.append(truth.accuracies(scores, same))
    # The accuracy of a method is that of the thresholds which it chooses on such sets.
    ours, theirs = np.mean(chosen, axis=0).tolist()
    true = {**truth.values, "accuracy": ours, "difference of accuracy": ours - theirs}
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
