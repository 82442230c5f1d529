"""The paper's toy example: the 2-d embeddings of a few identities and their class centres."""

from __future__ import annotations

from typing import NamedTuple, Optional, Sequence

import numpy as np

from arcface_mx.model import Embedder
from arcface_mx.report.angles import class_centres_of, embed_records
from arcface_mx.train.folder import read_config
from arcface_mx.util.errors import UserError
from arcface_mx.util.plots import WIDTH, drawing, plot_text

MAX_IMAGES = 4000


class Plane(NamedTuple):
    """A run's embeddings (N, 2) with labels (N,), and its class centres (n, 2) or None."""

    name: str
    embeddings: np.ndarray
    labels: np.ndarray
    centres: Optional[np.ndarray]


def embed_plane(embedder: Embedder, run: str, name: str, data: Optional[str] = None) -> Plane:
    """Embed the training images of a run; raises UserError unless its embeddings have length 2."""
    if embedder.embedding_size != 2:
        raise UserError(
            f"{run}: its embeddings have length {embedder.embedding_size}; only embeddings of length 2 can be drawn"
        )
    labels, embeddings = embed_records(embedder, data or read_config(run).data.data, MAX_IMAGES)
    return Plane(name, embeddings, labels, class_centres_of(run))


def draw_planes(planes: Sequence[Plane], path: str) -> None:
    """Draw directions on the unit circle, one panel per run: a dot per image, a line per class centre.

    The length of each embedding is drawn at random close to 1, so that the dots do not hide each other.
    """
    random = np.random.RandomState(0)
    width = max(WIDTH, 2.3 * len(planes))
    with drawing(path, len(planes), width / len(planes) + 0.3, len(planes), width) as axes:
        for axis, plane in zip(axes, planes):
            length = np.linalg.norm(plane.embeddings, axis=1, keepdims=True)
            dots = plane.embeddings / np.maximum(length, 1e-12) * random.uniform(0.94, 1.06, length.shape)
            colours = [f"C{label % 10}" for label in plane.labels]
            axis.scatter(dots[:, 0], dots[:, 1], c=colours, s=3, alpha=0.5, linewidths=0)
            if plane.centres is not None:
                ends = plane.centres / np.linalg.norm(plane.centres, axis=1, keepdims=True)
                for label, (x, y) in enumerate(ends):
                    axis.plot([0.0, x], [0.0, y], color=f"C{label % 10}", linewidth=1.4)
            axis.set_title(plot_text(plane.name))
            axis.set_aspect("equal")
            axis.set_xlim(-1.15, 1.15)
            axis.set_ylim(-1.15, 1.15)
            axis.axis("off")
