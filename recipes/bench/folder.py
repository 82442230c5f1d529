"""Embedding of a folder of images from end to end, beside its parts, with each engine and the one that is chosen.

Run: python recipes/bench/folder.py --network mobilefacenet --json recipes/results/bench_folder_mobilefacenet.json
     python recipes/bench/folder.py --images PHOTOS --align      (photographs; the detector crops the faces)

Without --images the folder has random 112×112 JPEG files. "sum of the parts" reads, embeds and writes one after the
other. A folder is faster than that where the next images are read while a batch is computed.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import statistics
import tempfile
from typing import Any, Callable, Dict, List

import cv2
import numpy as np
from cases import Case, run_cases
from timing import Timing

from arcface_mx.bench.networks import NETWORKS
from arcface_mx.bench.results import origin, report
from arcface_mx.data.image_files import image_paths
from arcface_mx.faces.embed import Embeddings, FaceOptions, embed_faces, embed_to_file
from arcface_mx.faces.read import read_faces
from arcface_mx.faces.store import write_fields
from arcface_mx.model.embedder import Embedder
from arcface_mx.model.load import engine_factory
from arcface_mx.util.environment import available_cores
from arcface_mx.util.files import write_json
from arcface_mx.util.tables import markdown_table

ENGINES = ("mxnet", "onnx")
CHOICE = "engine"  # file that the case "folder, auto" writes
HEADER = ["", "images/s", "lowest to highest", "× sum of the parts", "× best engine"]
Work = Callable[[], int]


def make_images(folder: str, count: int) -> None:
    """Write `count` JPEG files of the size of aligned crops, as large as photographs of faces compress."""
    random = np.random.default_rng(0)
    for number in range(count):
        coarse = random.integers(0, 256, (14, 14, 3), np.uint8)
        image = cv2.resize(coarse, (112, 112), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(os.path.join(folder, f"{number:06d}.jpg"), image)


def embedder_of(network: str, engine: str) -> Embedder:
    """A network with random parameters and the input size of its folder."""
    import mxnet as mx

    shape = NETWORKS[network]
    mx.random.seed(0)
    module = mx.mod.Module(shape.symbol(), label_names=None)
    module.bind([("data", (1, 3, shape.image_size, shape.image_size))], for_training=False)
    module.init_params(mx.init.Xavier())
    size = (shape.image_size, shape.image_size)
    arg_params, aux_params = module.get_params()
    make_engine = engine_factory(engine, network, None)
    return Embedder(shape.symbol(), arg_params, aux_params, None, size, network, make_engine)


def reading(images: str, network: str, align: bool) -> Work:
    """Read, decode and, with `align`, detect and crop."""
    paths, side = image_paths(images), NETWORKS[network].image_size

    def run() -> int:
        return sum(face.pixels is not None for face in read_faces(paths, (side, side), align, available_cores()))

    return run


def embedding(images: str, network: str, align: bool, engine: str) -> Work:
    """Embed pixels that are in memory."""
    paths, embedder = image_paths(images), embedder_of(network, engine)
    faces = read_faces(paths, embedder.input_size, align, available_cores())
    pixels = [face.pixels for face in faces if face.pixels is not None]

    def run() -> int:
        return len(embedder.embed(pixels))

    return run


def writing(images: str, network: str, align: bool, folder: str) -> Work:
    """Write and read a part, and write the file."""
    embedder = embedder_of(network, "mxnet")
    embeddings: Embeddings = embed_faces(embedder, "none", image_paths(images), options(align))

    def run() -> int:
        for name in ("part.npz", "out.npz"):
            write_fields(os.path.join(folder, name), embeddings)
        return len(embeddings.vectors)

    return run


def whole(images: str, network: str, align: bool, engine: str, folder: str) -> Work:
    """What `arcface-mx embed` does after its start."""
    paths, embedder, out = image_paths(images), embedder_of(network, engine), os.path.join(folder, f"{engine}.npz")
    with open(os.path.join(folder, CHOICE), "w", encoding="utf-8") as stream:
        stream.write(embedder.engine)

    def run() -> int:
        embeddings = embed_to_file(embedder, "none", paths, out, options(align))
        os.remove(out)
        return len(embeddings.vectors)

    return run


def options(align: bool) -> FaceOptions:
    """The settings of a folder."""
    return FaceOptions(align=align, workers=available_cores())


def cases(images: str, network: str, align: bool, folder: str) -> List[Case]:
    """The parts, and the whole with each engine; the engine "auto" is the last one that starts."""
    shape = {"images": images, "network": network, "align": align}
    return [
        Case("read", reading, shape),
        *(Case(f"embed, {engine}", embedding, dict(shape, engine=engine)) for engine in ENGINES),
        Case("write", writing, dict(shape, folder=folder)),
        *(Case(f"folder, {engine}", whole, dict(shape, engine=engine, folder=folder)) for engine in (*ENGINES, "auto")),
    ]


def ratios(timings: List[Timing], chosen: str) -> Dict[str, Dict[str, float]]:
    """For each whole folder: its rate over that of the sum of its parts, and over the best engine's, in one turn."""
    rates = {timing.name: timing.rates for timing in timings}
    wholes = [f"folder, {engine}" for engine in ENGINES if f"folder, {engine}" in rates]
    best = max(wholes, key=lambda name: statistics.median(rates[name]))
    result = {}
    for name in [*wholes, "folder, auto"]:
        engine = chosen if name.endswith("auto") else name.split(", ")[1]
        turns = zip(rates["read"], rates[f"embed, {engine}"], rates["write"])
        together = [1 / sum(1 / rate for rate in turn) for turn in turns]
        result[name] = {
            "of_sum": statistics.median(rate / other for rate, other in zip(rates[name], together)),
            "of_best": statistics.median(rate / other for rate, other in zip(rates[name], rates[best])),
        }
    return result


def main(arguments: Any = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", choices=list(NETWORKS), default="mobilefacenet", help="(default: %(default)s)")
    parser.add_argument("--images", metavar="FOLDER", default="", help="images (default: random ones)")
    parser.add_argument("--count", type=int, default=512, help="number of random images (default: %(default)s)")
    parser.add_argument("--align", action="store_true", help="detect and crop the faces")
    parser.add_argument("--repetitions", type=int, default=5, help="turns of each case (default: %(default)s)")
    parser.add_argument("--json", metavar="FILE", help="also write the results to this file")
    args = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="folder-") as folder:
        images = args.images or os.path.join(folder, "images")
        if not args.images:
            os.mkdir(images)
            make_images(images, args.count)
        timings, failures = run_cases(cases(images, args.network, args.align, folder), args.repetitions)
        with open(os.path.join(folder, CHOICE), encoding="utf-8") as stream:
            chosen = stream.read()
    found = ratios(timings, chosen)
    rows = [HEADER]
    for timing in timings:
        span = f"{min(timing.rates):.0f} to {max(timing.rates):.0f}"
        rows.append([timing.name, f"{timing.median:.0f}", span, "", ""])
        if timing.name in found:
            rows[-1][3:] = [f"{found[timing.name][name]:.2f}" for name in ("of_sum", "of_best")]
    settings = {name: value for name, value in vars(args).items() if name != "json"}
    results = [{**dataclasses.asdict(timing), **found.get(timing.name, {})} for timing in timings]
    document = report("python recipes/bench/folder.py", settings, chosen=chosen, results=results)
    print(markdown_table(rows))
    print("\n".join(["", f"auto chose {chosen}.", *failures, "", origin(document)]))
    if args.json:
        write_json(args.json, document)


if __name__ == "__main__":
    main()
