"""The paper's toy: a 2-d embedding of a few people, drawn as it is: samples and directions of class centres."""

from __future__ import annotations

from typing import Any, NamedTuple, Optional, Sequence

import numpy as np

from arcface_mx.util.errors import UserError


class Plane(NamedTuple):
    """One run's embeddings (N, 2) with labels (N,), and its class centres (n, 2) or None."""

    name: str
    embeddings: np.ndarray
    labels: np.ndarray
    centres: Optional[np.ndarray]


def embed_plane(embedder: Any, run: str, name: str, data: Optional[str] = None, most: int = 4000) -> Plane:
    """Embed a run's training photos; raises UserError unless its embeddings have length 2."""
    from arcface_mx.train.folder import read_config
    from arcface_mx.verify.angles import class_centres_of, embed_records

    if embedder.embedding_size != 2:
        raise UserError(
            f"{run}: its embeddings have length {embedder.embedding_size}; the toy's picture needs --embedding-size 2"
        )
    labels, embeddings = embed_records(embedder, data or read_config(run).data.data, most)
    return Plane(name, embeddings, labels, class_centres_of(run))


def draw_planes(planes: Sequence[Plane], path: str) -> None:
    """Directions on the unit circle, a panel a run: a dot a sample (its length jittered by a little, so
    that dots do not hide each other), a line a class centre."""
    from arcface_mx.util.plots import new_figure, save

    figure, axes = new_figure(len(planes), 4.2, 4.2)
    random = np.random.RandomState(0)
    for axis, plane in zip(axes, planes):
        colours = [f"C{label % 10}" for label in plane.labels]
        length = np.linalg.norm(plane.embeddings, axis=1, keepdims=True)
        dots = plane.embeddings / np.maximum(length, 1e-12) * random.uniform(0.94, 1.06, length.shape)
        axis.scatter(dots[:, 0], dots[:, 1], c=colours, s=3, alpha=0.5, linewidths=0)
        if plane.centres is not None:
            ends = plane.centres / np.linalg.norm(plane.centres, axis=1, keepdims=True)
            for label, (x, y) in enumerate(ends):
                axis.plot([0.0, x], [0.0, y], color=f"C{label % 10}", linewidth=1.4)
        axis.set_title(plane.name, fontsize=10)
        axis.set_aspect("equal")
        axis.set_xlim(-1.15, 1.15)
        axis.set_ylim(-1.15, 1.15)
        axis.axis("off")
    save(figure, path)
