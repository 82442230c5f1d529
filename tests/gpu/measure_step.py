"""Print what a training step launches and plans: kernels, waits, copies and bytes of a step of ResNet50.

    tests/gpu/run.sh --measure [FLAGS OF train]        this checkout
    PYTHONPATH=… python tests/gpu/measure_step.py …    another checkout, with the variables that run.sh sets

The stand-in for CUDA counts; it knows no times. The step is the sixth of a run. The data are one black image of
each of CLASSES identities.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import re
import sys
import tempfile
from collections import Counter
from typing import Any, Dict, List

from arcface_mx import cli  # prepares the process before it imports mxnet

STEPS = 6
# Beginnings of the names that the stand-in counts; after a star, a part of the name.
KINDS = {
    "kernels": ("kernel", "cudnnBatch", "cudnnActivation", "cublasSgemm", "cublasGemm"),
    "  of convolutions": ("kernel convolution",),
    "  of grouped 1×1 convolutions": ("kernel convolution grouped 1x1",),
    "  of fused operators": ("kernel fused",),
    "  of the update": ("kernel *MultiSGD",),
    "  of argmax over classes": ("kernel *ReduceWithAxis",),
    "waits for the device": ("wait",),
    "copies": ("copy",),
    "  between devices": ("copy between devices",),
}


def main(arguments: List[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--classes", type=int, default=85_742)
    args, flags = parser.parse_known_args(arguments)
    import mxnet as mx

    from arcface_mx.train.log import RunLog

    library = ctypes.CDLL(os.environ["ARCFACE_FAKE_CUDA"])
    library.fake_cuda_counts.restype = ctypes.c_char_p
    library.fake_cuda_most_used.restype = ctypes.c_size_t
    counts: List[Counter] = []
    modules: List[Any] = []

    def step(self: RunLog) -> None:
        mx.nd.waitall()
        pairs = (line.split(" ", 1) for line in library.fake_cuda_counts().decode().splitlines())
        counts.append(Counter({name: int(count) for count, name in pairs}))

    RunLog.step = step
    bind = mx.mod.Module.bind
    mx.mod.Module.bind = lambda self, *a, **k: modules.append(self) or bind(self, *a, **k)
    with tempfile.TemporaryDirectory() as folder:
        data, run = os.path.join(folder, "faces"), os.path.join(folder, "run")
        write_faces(data, args.classes)
        schedule = ["--steps", str(STEPS), "--lr-drops", str(STEPS - 1), "--checkpoint-every", "1000"]
        default = ["--network", "iresnet50", "--batch-size", "128", "--devices", "gpu(0)", "--log-every", "1000"]
        code = cli.main(["train", "--data", data, "--run", run, *default, *schedule, *flags])
    if code:
        sys.exit(code)
    planned = [int(re.findall(r"Total (\d+) MB allocated", e.debug_str())[-1]) for e in modules[0]._exec_group.execs]
    for name, value in summary(counts[-1] - counts[-2]).items():
        print(f"{name:32} {value:8}")
    print(f"{'planned MB a device, layers':32} {max(planned):8}")
    print(f"{'MB allocated, all devices':32} {library.fake_cuda_most_used() >> 20:8}")


def summary(counts: Counter) -> Dict[str, int]:
    """Return the counts by kind."""

    def belongs(name: str, pattern: str) -> bool:
        start, _, part = pattern.partition("*")
        return name.startswith(start) and part in name

    return {
        kind: sum(count for name, count in counts.items() if any(belongs(name, pattern) for pattern in patterns))
        for kind, patterns in KINDS.items()
    }


def write_faces(folder: str, classes: int) -> None:
    """Write a black image of 112 × 112 pixels for each class, in InsightFace's layout."""
    import cv2
    import mxnet as mx
    import numpy as np

    os.makedirs(folder)
    records = mx.recordio.MXIndexedRecordIO(*(os.path.join(folder, f"train.{name}") for name in ("idx", "rec")), "w")
    image = cv2.imencode(".png", np.zeros((112, 112, 3), np.uint8))[1].tobytes()
    for number in range(classes):
        header = mx.recordio.IRHeader(0, float(number), number + 1, 0)
        records.write_idx(number + 1, mx.recordio.pack(header, image))
    records.close()
    with open(os.path.join(folder, "property"), "w", encoding="ascii") as stream:
        stream.write(f"{classes},112,112\n")


if __name__ == "__main__":
    main(sys.argv[1:])
