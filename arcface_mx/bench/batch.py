"""Photos a batch: the Embedder with the mirror image, at several batch sizes and on both engines."""

from __future__ import annotations

from typing import Any, Callable, Dict, List

from arcface_mx.bench import embed, network
from arcface_mx.bench.race import Contestant, race
from arcface_mx.bench.timing import Timing

ENGINE = "mxnet"
SIZES = (4, 8, 16, 32, 64)
PHOTOS = {"recipe": 128, "iresnet50": 16, "mobilefacenet": 64}


def measure(name: str, repetitions: int) -> List[Timing]:
    """Photos a second. Baseline: two calls, one with the mirrored photos, as many images a forward pass as the default's."""
    from arcface_mx.model.embedder import BATCH_SIZES

    default = BATCH_SIZES["cpu"]
    kind, width, side, size, _, _ = network.NETWORKS[name]
    shape: Dict[str, Any] = {
        "network": kind,
        "width": width,
        "side": side,
        "size": size,
        "photos": PHOTOS[name],
        "engine": "mxnet",
    }
    work = 2 * network.gflop(kind, width, side, size)
    entries = [Contestant("two passes", __name__, dict(shape, batch=2 * default, together=False), gflop=work)]
    sizes = [batch for batch in SIZES if batch <= PHOTOS[name]]
    entries += [
        Contestant(f"{batch} and their mirror images", __name__, dict(shape, batch=batch, together=True), gflop=work)
        for batch in sizes
    ]
    onnx = dict(shape, batch=default, together=True, engine="onnx")
    return race(entries + [Contestant(f"{onnx['batch']}, ONNX Runtime", __name__, onnx, gflop=work)], repetitions)


def setup(
    network: str, width: float, side: int, size: int, photos: int, engine: str, batch: int, together: bool
) -> Callable[[], int]:
    """Embed `photos` photos and their mirror images, in arrays, `batch` photos at a time."""
    import numpy as np

    from arcface_mx.model.embedder import Embedder
    from arcface_mx.model.engines import onnx_engine

    images = np.random.default_rng(0).integers(0, 256, (photos, side, side, 3)).astype(np.uint8)
    symbol, args, aux = embed.random_network(network, width, side, size, fast=False)
    embedder = Embedder(symbol, args, aux, None, (side, side), engine=onnx_engine if engine == "onnx" else None)

    def run() -> int:
        if together:
            embedder.embed_with_flip(images, batch)
        else:
            embedder.embed(images, batch)
            embedder.embed(images[:, :, ::-1], batch)
        return photos

    return run
