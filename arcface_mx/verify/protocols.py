"""Protocols on photo files: identification and template verification from folders or lists.

The model comes as a function that opens it, so that a bad list is refused before a model is loaded.
"""

from __future__ import annotations

from typing import Callable, Dict, List, Optional

from arcface_mx.data.pack.image_list import photo_paths
from arcface_mx.metrics.identification import Identification, identify
from arcface_mx.metrics.templates import mean_by_identity, pool, template_scores
from arcface_mx.metrics.verification import PairMetrics, Rates, error_rates, evaluate
from arcface_mx.model.embedder import Embedder
from arcface_mx.util.errors import UserError
from arcface_mx.verify.images import embed_photos, read_identities, read_template_pairs, read_templates

OpenModel = Callable[[], Embedder]


def identify_photos(
    open_model: OpenModel,
    gallery: str,
    probes: str,
    distractors: Optional[str] = None,
    images: Optional[str] = None,
    batch_size: Optional[int] = None,
    flip: str = "none",
) -> Identification:
    """Rank-k and DIR@FAR of a model; see `read_identities` for gallery and probes. Raises UserError on bad input."""
    gallery_paths, gallery_ids = read_identities(gallery, images)
    probe_paths, probe_ids = read_identities(probes, images)
    if not set(gallery_ids) & set(probe_ids):
        raise UserError(f"{gallery} and {probes} have no identity in common; are the names the same?")
    other_paths = photo_paths(distractors, images) if distractors else []
    embedder = open_model()
    ids, features = mean_by_identity(embed_photos(embedder, gallery_paths, "gallery", batch_size, flip), gallery_ids)
    found = embed_photos(embedder, probe_paths, "probes", batch_size, flip)
    others = embed_photos(embedder, other_paths, "distractors", batch_size, flip) if other_paths else None
    return identify(features, ids, found, probe_ids, others)


def verify_templates(
    open_model: OpenModel,
    templates: str,
    pairs: str,
    images: Optional[str] = None,
    batch_size: Optional[int] = None,
    flip: str = "none",
    folds: int = 0,
    normalise: bool = True,
) -> Rates:
    """Rates of a model on template pairs, with folds also accuracy. Raises UserError on bad input."""
    first, second, same = read_template_pairs(pairs)
    paths, names, media = read_templates(templates, images)
    missing = sorted((set(first) | set(second)) - set(names))
    if missing:
        raise UserError(f"{pairs}: there is no template {missing[0]} in {templates} ({len(missing)} such)")
    embeddings = embed_photos(open_model(), paths, "templates", batch_size, flip)
    scores = template_scores(pool(embeddings, names, media, normalise), first, second, pairs)
    return evaluate(scores, same, folds, pairs) if folds else error_rates(scores, same, pairs)


def identification_table(result: Identification) -> str:
    """Lines of name and rate."""
    lines = [
        f"gallery {result.gallery} identities, distractors {result.distractors}, probes {result.known} "
        f"known, {result.unknown} unknown"
    ]
    lines += ["rank-%-8d %.4f" % item for item in result.rank.items()]
    lines += _levels("DIR", result.dir_at_far, f"{result.unknown} unknown probes")
    return "\n".join(lines)


def rates_table(result: Rates) -> str:
    """Lines of name and rate."""
    lines = [f"pairs {result.num_same} same, {result.num_different} different"]
    if isinstance(result, PairMetrics):
        lines.append(f"accuracy      {result.accuracy:.4f} ± {result.std:.4f}")
    lines += _levels("TAR", result.tar_at_far, f"{result.num_different} different pairs")
    return "\n".join(lines + [f"EER           {result.eer:.4f}", f"AUC           {result.auc:.5f}"])


def _levels(name: str, rates: Dict[float, Optional[float]], counted: str) -> List[str]:
    lines, hidden = [], []
    for far, rate in rates.items():
        if rate is None:
            hidden.append(f"{far:.0e}")
        else:
            lines.append(f"{name}@FAR={far:.0e} {rate:.4f}")
    if hidden:
        lines.append(f"{name}@FAR={', '.join(hidden)}: not measurable with {counted} (1/FAR are needed)")
    return lines
