"""What the flags of `arcface-mx verify` add to its table: score files, intervals, curves, errors at a threshold."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Dict, List, Sequence

from arcface_mx.util.errors import UserError

if TYPE_CHECKING:
    from arcface_mx.data.bins.read import PairSet
    from arcface_mx.verify.sets import SetResult


class Extras:
    """Reads the files of the flags before the model runs, and reports afterwards."""

    def __init__(self, args: argparse.Namespace, sets: Sequence[PairSet]) -> None:
        from arcface_mx.util.files import refuse_unwritable
        from arcface_mx.verify.calibration_file import read_calibration
        from arcface_mx.verify.scores import pair_groups, pair_identities
        from arcface_mx.verify.sets import set_name

        for name in ("identities", "groups"):
            if getattr(args, name) and len(sets) != 1:
                raise UserError(f"`{name}` is a list for one set, but {len(sets)} sets are given")
        if args.groups and not args.at:
            raise UserError("`groups` needs `at`, the calibration whose threshold all groups share")
        for path in filter(None, (args.scores, args.curves)):
            refuse_unwritable(path)
        self._args = args
        names = [set_name(pairs.path) for pairs in sets]
        wanted = args.intervals or args.curves or args.at
        if (wanted or args.scores) and len(set(names)) != len(names):
            raise UserError(
                f"two sets have the name {next(n for n in names if names.count(n) > 1)}; rename one of them"
            )
        self._pairs = dict(zip(names, sets))
        self._identities = {n: pair_identities(p, args.identities) for n, p in self._pairs.items()} if wanted else {}
        self._groups = pair_groups(sets[0], args.groups) if args.groups else None
        self._thresholds: Dict[str, float] = {}
        if args.at:
            calibration = read_calibration(args.at, args.model)
            flips = ("none", "sum") if args.flip_test else ("none",)
            self._thresholds = {flip: calibration.for_flip(flip).threshold(args.far) for flip in flips}

    def report(self, results: Sequence[SetResult]) -> Dict[str, object]:
        """Print and write what the flags ask for; returns it as plain values."""
        from arcface_mx.metrics.estimates import estimates
        from arcface_mx.verify.curves import draw_curves
        from arcface_mx.verify.scores import Scored, write_scores
        from arcface_mx.verify.uncertainty import at_table, errors_at, interval_table

        args = self._args
        plain: Dict[str, object] = {}
        scored = {
            (result.set, flip): Scored(values, self._pairs[result.set].same)
            for result in results
            if result.protocol == "exact"
            for flip, values in result.scores.items()
        }
        if args.intervals:
            found = {
                key: estimates(scores, same, self._identities[key[0]], args.folds, key[0])
                for key, (scores, same) in scored.items()
            }
            print(interval_table(found))
            plain["intervals"] = [
                {"set": name, "flip": flip, **{metric: rate._asdict() for metric, rate in rates.items()}}
                for (name, flip), rates in found.items()
            ]
        if args.at:
            rows: List = []
            for key, values in scored.items():
                rows += errors_at(key, values, self._identities[key[0]], self._thresholds[key[1]], self._groups)
            print(at_table(rows))
            plain["at"] = [row.to_json() for row in rows]
        if args.scores:
            write_scores(args.scores, scored)
            print(f"written: {args.scores}")
        if args.curves:
            draw_curves(args.curves, scored, self._identities)
            print(f"written: {args.curves}")
        return plain
