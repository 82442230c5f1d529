"""Results as text tables."""

from __future__ import annotations

from typing import Dict, List, Optional, Sequence

from arcface_mx.metrics.calibration import not_measurable
from arcface_mx.metrics.identification import Identification
from arcface_mx.metrics.intervals import RESAMPLES
from arcface_mx.metrics.megaface import MegaFaceResult
from arcface_mx.metrics.verification import PairMetrics, Rates
from arcface_mx.util.errors import UserError
from arcface_mx.util.tables import text_table
from arcface_mx.verify.calibration_file import StoredCalibration
from arcface_mx.verify.ijb import IjbResult
from arcface_mx.verify.sets import SetResult

CALIBRATION_HEADER = ("flip", "FAR asked", "threshold", "accepted / different pairs", "95 % interval of FAR", "TAR")


def result_table(results: Sequence[SetResult]) -> str:
    """Table of verification sets; FAR levels that no set can measure are left out."""
    if not results:
        raise UserError("no results to show")
    hidden = [far for far in results[0].none.tar_at_far if all(r.none.tar_at_far[far] is None for r in results)]
    levels = [far for far in results[0].none.tar_at_far if far not in hidden]
    protocols = any(result.protocol != "exact" for result in results)
    rows = [
        ["method", "set", "pairs"]
        + ["protocol"] * protocols
        + ["flip", "accuracy %"]
        + [f"TAR@{far:.0e}" for far in levels]
        + ["EER %", "AUC"]
    ]
    for result in results:
        for flip, metrics in (("none", result.none), ("sum", result.sum)):
            if metrics:
                protocol = [result.protocol] * protocols
                rows.append([result.method, result.set, str(result.pairs), *protocol, flip] + _cells(metrics, levels))
    different = max(result.none.num_different for result in results)
    return "\n".join([text_table(rows)] + _hidden_note("TAR@", hidden, f"{different} different pairs"))


def _cells(metrics: PairMetrics, levels: Sequence[float]) -> List[str]:
    tars = [metrics.tar_at_far[far] for far in levels]
    return (
        [f"{100 * metrics.accuracy:.2f} ± {100 * metrics.std:.2f}"]
        + ["-" if tar is None else f"{tar:.4f}" for tar in tars]
        + [f"{100 * metrics.eer:.2f}", f"{metrics.auc:.5f}"]
    )


def identification_table(result: Identification) -> str:
    """Numbers of entries and probes, then a line for each rate."""
    title = (
        f"gallery {result.gallery} identities, distractors {result.distractors}, probes {result.known} known, "
        f"{result.unknown} unknown"
    )
    rows = [[f"rank-{k}", f"{rate:.4f}"] for k, rate in result.rank.items()]
    return _rates(title, rows, "DIR@FAR=", result.dir_at_far, f"{result.unknown} unknown probes")


def megaface_table(result: MegaFaceResult) -> str:
    """Numbers of probes and distractors, then a line for each rate."""
    title = (
        f"{result.probes} probes of {result.identities} identities ({result.pairs} pairs), {result.distractors} "
        "distractors"
    )
    rows = [[f"rank-{k}", f"{rate:.4f}"] for k, rate in result.rank.items()]
    counted = f"{result.probes * result.distractors} pairs of a probe and a distractor"
    return _rates(title, rows, "TAR@FAR=", result.tar_at_far, counted)


def rates_table(result: Rates) -> str:
    """Numbers of pairs, then a line for each rate."""
    title = f"pairs {result.num_same} same, {result.num_different} different"
    rows = [["EER", f"{result.eer:.4f}"], ["AUC", f"{result.auc:.5f}"]]
    if isinstance(result, PairMetrics):
        rows.insert(0, ["accuracy", f"{result.accuracy:.4f} ± {result.std:.4f}"])
    return _rates(title, rows, "TAR@FAR=", result.tar_at_far, f"{result.num_different} different pairs")


def ijb_table(name: str, results: Sequence[IjbResult]) -> str:
    """Tables of 1:1 and, where it was measured, of 1:N, with a line for each mode."""
    first = results[0].verification
    levels = [far for far in reversed(list(first.tar_at_far)) if first.tar_at_far[far] is not None]
    rows = [["mode"] + [f"TAR@{far:.0e}" for far in levels] + ["EER %", "AUC"]]
    for result in results:
        rates = result.verification
        tars = [f"{rates.tar_at_far[far]:.4f}" for far in levels]
        rows.append([result.mode.name] + tars + [f"{100 * rates.eer:.2f}", f"{rates.auc:.5f}"])
    hidden = [far for far, rate in first.tar_at_far.items() if rate is None]
    lines = [f"{name} 1:1, {first.num_same} same and {first.num_different} different pairs", text_table(rows)]
    lines += _hidden_note("TAR@", hidden, f"{first.num_different} different pairs")
    galleries = results[0].galleries
    if not galleries:
        return "\n".join(lines + [f"{name} 1:N: not measured; the lists of galleries and probes are not there"])
    some = next(iter(galleries.values()))
    levels = [far for far in reversed(list(some.dir_at_far)) if results[0].mean_tpir(far) is not None]
    rows = [["mode"] + [f"rank-{k}" for k in some.rank] + [f"TPIR@{far:.0e}" for far in levels]]
    for result in results:
        tpirs = [f"{result.mean_tpir(far):.4f}" for far in levels]
        rows.append([result.mode.name] + [f"{result.mean_rank(k):.4f}" for k in some.rank] + tpirs)
    sizes = " and ".join(f"{key}: {value.gallery}" for key, value in galleries.items())
    lines.append(f"{name} 1:N, galleries {sizes} templates, {some.known + some.unknown} probes")
    return "\n".join(lines + [text_table(rows)])


def _rates(title: str, rows: List[List[str]], name: str, levels: Dict[float, Optional[float]], counted: str) -> str:
    rows = rows + [[f"{name}{far:.0e}", f"{rate:.4f}"] for far, rate in levels.items() if rate is not None]
    hidden = [far for far, rate in levels.items() if rate is None]
    return "\n".join([title, text_table(rows)] + _hidden_note(name, hidden, counted))


def _hidden_note(name: str, levels: Sequence[float], counted: str) -> List[str]:
    if not levels:
        return []
    return [f"{name}{', '.join(f'{far:.0e}' for far in levels)}: not measurable with {counted} (1/FAR are needed)"]


def calibration_rows(stored: StoredCalibration) -> List[Sequence[str]]:
    """Header and one row of cells for each level that was measured."""
    rows: List[Sequence[str]] = [CALIBRATION_HEADER]
    for flip, calibration in stored.flips.items():
        for level in filter(None, calibration.levels.values()):
            rows.append(
                (
                    flip,
                    f"{level.far:g}",
                    f"{level.threshold:.4f}",
                    f"{level.accepted} / {level.different}",
                    f"{level.low:.1e} to {level.high:.1e}",
                    f"{level.tar:.4f}",
                )
            )
    return rows


def calibration_notes(stored: StoredCalibration) -> List[str]:
    """Notes below the table: sets, kind of interval, and levels without a threshold."""
    calibration = next(iter(stored.flips.values()))
    interval = {
        "pairs": "pairs are taken as independent",
        "identities": f"identities are drawn with their images, {RESAMPLES} times",
    }.get(calibration.interval, calibration.interval)
    notes = [
        f"{', '.join(stored.sets)}: {calibration.num_same} same, {calibration.num_different} different pairs",
        f"95 % interval of FAR: {interval}",
    ]
    hidden = [f"{far:g}" for far, level in calibration.levels.items() if level is None]
    if hidden:
        notes.append(f"FAR {', '.join(hidden)}: {not_measurable(calibration.num_different)}")
    return notes
