"""Memory and processor time of an IJB-C-sized evaluation: made lists, random embeddings.

    python recipes/bench/ijb.py --json ijb.json

The lists have the sizes of IJB-C: 469,375 images, 23,124 templates and 15,658,489 pairs of a gallery
and a probe template. They are made and written to a temporary folder, and then read, pooled in up to
eight modes and scored by the functions of `arcface-mx ijb`. The time to make random embeddings stands
in for embedding, and is reported apart. The peak memory is that of the process that evaluates.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time

import numpy as np

IMAGES, GALLERY, PROBES, PAIRS, SUBJECTS = 469_375, 3_531, 19_593, 15_658_489, 3_531


def write_lists(folder: str, share: float) -> None:
    """Write made lists with this share of IJB-C's images and pairs."""
    import pandas as pd

    random = np.random.RandomState(0)
    gallery, probes = int(GALLERY * share**0.5), int(PROBES * share**0.5)
    count, images, pairs = gallery + probes, int(IMAGES * share), int(PAIRS * share)
    subject = np.append(np.arange(gallery), random.randint(0, gallery, probes)) + 1
    template = np.sort(np.append(np.arange(count), random.randint(0, count, images - count))) + 1
    prefix = os.path.join(folder, "ijbc_")

    def write(name: str, **columns: np.ndarray) -> None:
        table = name.endswith(".csv")
        separator = "," if table else " "
        pd.DataFrame(columns).to_csv(prefix + name, sep=separator, header=table, index=False, float_format="%.3f")

    names = np.asarray([f"{number}.jpg" for number in range(1, images + 1)])
    write("face_tid_mid.txt", a=names, b=template, c=random.randint(0, 140_000, images))
    points = {f"p{k}": random.uniform(20, 100, images) for k in range(10)}
    write("name_5pts_score.txt", **{"a": names, **points, "score": random.uniform(0.1, 1, images)})
    listed = np.sort(random.choice(gallery * probes, pairs, replace=False))
    first, second = listed // probes + 1, listed % probes + gallery + 1
    write("template_pair_label.txt", a=first, b=second, c=(subject[first - 1] == subject[second - 1]).astype(int))
    for name, half in (("G1", slice(0, gallery, 2)), ("G2", slice(1, gallery, 2))):
        ids = np.arange(1, gallery + 1)[half]
        write(f"1N_gallery_{name}.csv", TEMPLATE_ID=ids, SUBJECT_ID=subject[ids - 1])
    ids = np.arange(gallery + 1, count + 1)
    write("1N_probe_mixed.csv", TEMPLATE_ID=ids, SUBJECT_ID=subject[ids - 1])


def evaluate(folder: str, dimensions: int, modes: int) -> dict[str, float]:
    """Read and evaluate; returns seconds of user and system time, and the peak memory."""
    from arcface_mx.data.protocols.ijb import read_ijb
    from arcface_mx.metrics.templates import MODES
    from arcface_mx.verify.ijb import verify_ijb

    start, begun, embedding = time.process_time(), time.time(), 0.0
    lists = read_ijb(folder)
    random = np.random.default_rng(0)

    def embed(rows: slice) -> tuple[np.ndarray, np.ndarray]:
        nonlocal embedding
        since = time.process_time()
        shape = (2, rows.stop - rows.start, dimensions)
        plain, mirrored = random.standard_normal(shape, np.float32)
        embedding += time.process_time() - since
        return plain, mirrored

    results = verify_ijb(embed, lists, MODES[:modes])
    rates = results[0].verification
    return {
        "images": len(lists.images),
        "pairs": rates.num_same + rates.num_different,
        "same_pairs": rates.num_same,
        "modes": len(results),
        "dimensions": dimensions,
        "processor_seconds": round(time.process_time() - start - embedding, 1),
        "embedding_stand_in_seconds": round(embedding, 1),
        "wall_seconds": round(time.time() - begun, 1),
        "load_average": round(os.getloadavg()[0], 1),
        "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--share", type=float, default=1.0, help="share of IJB-C's images and pairs (default: all)")
    parser.add_argument("--dimensions", type=int, default=512)
    parser.add_argument("--modes", type=int, default=8, help="number of modes (default: all)")
    parser.add_argument("--folder", help="evaluate the lists of this folder in this process")
    parser.add_argument("--json", metavar="FILE", help="also write the result to FILE")
    args = parser.parse_args()
    if args.folder:
        print(json.dumps(evaluate(args.folder, args.dimensions, args.modes)))
        return
    with tempfile.TemporaryDirectory(prefix="ijb-") as folder:
        write_lists(folder, args.share)
        # A process of its own, so that its peak memory is not that of making the lists.
        words = [sys.executable, __file__, "--folder", folder, "--dimensions", str(args.dimensions)]
        words += ["--modes", str(args.modes)]
        result = json.loads(subprocess.run(words, check=True, stdout=subprocess.PIPE).stdout)
    for name, value in result.items():
        print(f"{name:28}{value}")
    if args.json:
        with open(args.json, "w", encoding="utf-8") as stream:
            json.dump(result, stream, indent=1)
            stream.write("\n")


if __name__ == "__main__":
    main()
