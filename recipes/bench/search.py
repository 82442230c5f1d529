"""Search of a large gallery: its time beside the matrix product and faiss, its memory, and that it is exact.

Run: python recipes/bench/search.py --json recipes/results/bench_search.json    (6 GB of disk, 5 GB of memory)

The cases take turns, each in a process of its own. The matrix product is measured with blocks of two sizes, and
ratios are to the faster one. faiss is left out, with a line, where faiss-cpu is not installed.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import statistics
import tempfile
import time
from typing import Any, Callable, Dict, List, Tuple

import numpy as np
from cases import Case, resident_mb, run_cases
from timing import Timing

from arcface_mx.bench.results import origin, report
from arcface_mx.faces.gallery import Gallery, read_gallery, search
from arcface_mx.faces.store import write_fields
from arcface_mx.metrics.similarity import blocks, nearest, unit_vectors
from arcface_mx.util.files import write_json
from arcface_mx.util.tables import markdown_table

K = 5
ROWS = 8192  # vectors that are made, or compared in float64, at a time
PRODUCTS = {"product, blocks of 4096": 4096, "product, blocks of 32768": 32768}
CHECKED = 20  # queries that are compared with float64
HEADER = ["queries", "", "s", "lowest to highest", "time ratio", "peak MB", "memory ratio"]


def make_galleries(folder: str, entries: int, dimensions: int) -> None:
    """Write float32.npz and float16.npz, with random unit vectors and a name for each."""
    scratch = os.path.join(folder, "vectors.npy")
    vectors = np.lib.format.open_memmap(scratch, "w+", np.float32, (entries, dimensions))
    random = np.random.default_rng(0)
    for block in blocks(entries, ROWS):
        vectors[block] = unit_vectors(random.standard_normal((block.stop - block.start, dimensions), np.float32))
    names = np.char.mod("%08d", np.arange(entries))
    for dtype in ("float32", "float16"):
        stored = vectors if dtype == "float32" else vectors.astype(dtype)
        write_fields(os.path.join(folder, f"{dtype}.npz"), Gallery(names, names, stored, "none", False, "none"))
    os.remove(scratch)


def make_queries(folder: str, count: int) -> np.ndarray:
    """Unit vectors of which every other one has an entry with a cosine of about 0.6; the others are strangers."""
    vectors = read_gallery(os.path.join(folder, "float32.npz")).vectors
    random = np.random.default_rng(1)
    noise = unit_vectors(random.standard_normal((count, vectors.shape[1]), np.float32))
    mates = np.asarray(vectors[random.integers(0, len(vectors), count)])
    return unit_vectors(np.where(np.arange(count)[:, None] % 2, noise, 0.6 * mates + 0.8 * noise)).astype(np.float32)


def product(folder: str, count: int, block: int) -> Callable[[], int]:
    """The cosines of queries and gallery, and nothing else."""
    queries, vectors = make_queries(folder, count), read_gallery(os.path.join(folder, "float32.npz")).vectors
    memory = np.empty(min(256, count) * min(block, len(vectors)), np.float32)

    def run() -> int:
        for columns in blocks(len(vectors), block):
            entries = np.asarray(vectors[columns])
            for part in blocks(count, 256):
                out = memory[: (part.stop - part.start) * len(entries)].reshape(-1, len(entries))
                np.matmul(queries[part], entries.T, out=out)
        return 1

    return run


def searched(folder: str, count: int, dtype: str) -> Callable[[], int]:
    """The search of `arcface-mx gallery search`."""
    queries, gallery = make_queries(folder, count), read_gallery(os.path.join(folder, f"{dtype}.npz"))

    def run() -> int:
        search(gallery, queries, K)
        return 1

    return run


def faiss_flat(folder: str, count: int) -> Callable[[], int]:
    """The flat index of faiss, which is made beforehand."""
    import faiss

    if os.environ.get("OMP_NUM_THREADS"):
        faiss.omp_set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    queries, vectors = make_queries(folder, count), read_gallery(os.path.join(folder, "float32.npz")).vectors
    index = faiss.IndexFlatIP(vectors.shape[1])
    for block in blocks(len(vectors), ROWS):
        index.add(np.asarray(vectors[block]))

    def run() -> int:
        index.search(queries, K)
        return 1

    return run


def cases(folder: str, count: int) -> List[Case]:
    """The cases for a number of queries."""
    shape = {"folder": folder, "count": count}
    result = [Case(name, product, dict(shape, block=block)) for name, block in PRODUCTS.items()]
    result += [Case(f"search, {dtype}", searched, dict(shape, dtype=dtype)) for dtype in ("float32", "float16")]
    return [*result, Case("faiss, flat index", faiss_flat, shape)]


def accuracy(folder: str) -> Dict[str, Dict[str, float]]:
    """What the search finds, compared with all cosines in float64: share of equal rows, largest difference."""
    queries = make_queries(folder, CHECKED)
    stored = {dtype: read_gallery(os.path.join(folder, f"{dtype}.npz")).vectors for dtype in ("float32", "float16")}
    exact = np.empty((CHECKED, len(stored["float32"])))
    for block in blocks(len(stored["float32"]), ROWS):
        exact[:, block] = queries.astype(np.float64) @ np.asarray(stored["float32"][block], np.float64).T
    best = np.argsort(-exact, axis=1, kind="stable")[:, :K]
    result = {}
    for dtype, vectors in stored.items():
        cosines, rows = nearest(queries, vectors, K)
        result[dtype] = {
            "equal_rows": float((rows == best).mean()),
            "largest_difference": float(np.abs(cosines - np.take_along_axis(exact, rows, 1)).max()),
            "missed_by": float((np.take_along_axis(exact, best, 1) - np.take_along_axis(exact, rows, 1)).max()),
        }
    return result


def start_up(folder: str) -> Dict[str, float]:
    """Seconds and megabytes that opening the gallery takes."""
    memory, clock = resident_mb("VmRSS"), time.perf_counter()
    gallery = read_gallery(os.path.join(folder, "float32.npz"))
    return {"seconds": time.perf_counter() - clock, "mb": resident_mb("VmRSS") - memory, "entries": len(gallery.names)}


def summary(count: int, timings: List[Timing], gallery_mb: float) -> Tuple[List[List[str]], List[Dict[str, Any]]]:
    """Rows of the table and of the JSON file; ratios are to the faster product and to the vectors in float32."""
    baseline = max((timing for timing in timings if timing.name in PRODUCTS), key=lambda timing: timing.median)
    table, results = [], []
    for timing in timings:
        ratio = statistics.median(ours / theirs for ours, theirs in zip(baseline.rates, timing.rates))
        memory = (timing.peak_mb or 0.0) / gallery_mb
        span = f"{1 / max(timing.rates):.3g} to {1 / min(timing.rates):.3g}"
        table.append([str(count), timing.name, f"{1 / timing.median:.3g}", span, f"{ratio:.2f}"])
        table[-1] += [f"{timing.peak_mb or 0:.0f}", f"{memory:.2f}"]
        values = {"queries": count, "seconds": 1 / timing.median, "time_ratio": ratio, "memory_ratio": memory}
        results.append({**dataclasses.asdict(timing), **values})
    return table, results


def main(arguments: Any = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, default=1_000_000, help="size of the gallery (default: %(default)s)")
    parser.add_argument("--dimensions", type=int, default=512, help="embedding size (default: %(default)s)")
    parser.add_argument("--queries", default="1,1000", help="numbers of queries (default: %(default)s)")
    parser.add_argument("--repetitions", type=int, default=5, help="turns of each case (default: %(default)s)")
    parser.add_argument("--json", metavar="FILE", help="also write the results to this file")
    args = parser.parse_args(arguments)
    gallery_mb = args.entries * args.dimensions * 4 / 2**20
    with tempfile.TemporaryDirectory(prefix="search-") as folder:
        make_galleries(folder, args.entries, args.dimensions)
        opened, exact = start_up(folder), accuracy(folder)
        rows = [HEADER]
        results: List[Dict[str, Any]] = []
        for count in map(int, args.queries.split(",")):
            timings, failures = run_cases(cases(folder, count), args.repetitions)
            table, values = summary(count, timings, gallery_mb)
            rows, results = rows + table, results + values
    settings = {name: value for name, value in vars(args).items() if name != "json"}
    document = report(
        "python recipes/bench/search.py", settings, gallery_mb=gallery_mb, opened=opened, exact=exact, results=results
    )
    print(markdown_table(rows))
    print(f"\nThe vectors take {gallery_mb:.0f} MB in float32. Opening took {opened['seconds']:.3f} s.")
    for dtype, found in exact.items():
        print(f"{dtype}, {CHECKED} queries against float64: {100 * found['equal_rows']:.0f} % of the rows are equal,")
        print(f"  cosines differ by at most {found['largest_difference']:.1e}, rows by {found['missed_by']:.1e}")
    print("\n".join(["", *failures, origin(document)]))
    if args.json:
        write_json(args.json, document)


if __name__ == "__main__":
    main()
