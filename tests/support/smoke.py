"""A test of an installation in half a minute: builders, a short training run, its export, and a recipe.

Run it in an empty folder with the interpreter that has arcface-mx: python smoke.py. It needs no test
package.
"""

from __future__ import annotations

import os
import sys

import arcface_mx  # before mxnet: it prepares numpy

import mxnet as mx
import numpy as np

from arcface_mx.cli import main
from arcface_mx.data.recordio.writer import RecordWriter
from arcface_mx.model import load_model
from arcface_mx.symbols import cross_entropy, iresnet, margin_logits

TRAIN = (
    "train --data faces --run run --network iresnet18 --width 0.07 --embedding-size 8 --dropout 0 --image-size 32 "
    "--batch-size 8 --scale 16 --steps 4 --lr-drops 3"
)


def ten_lines() -> None:
    """Train with the builders and MXNet's Module, without the trainer."""
    data, label = mx.sym.Variable("data"), mx.sym.Variable("label")
    embedding = iresnet(data, layers=18, embedding_size=8, width=0.07, input_size=32)
    logits = margin_logits(embedding, label, num_classes=4, scale=16.0, m2=0.5)
    net = mx.mod.Module(mx.sym.MakeLoss(cross_entropy(logits, label)), label_names=["label"])
    faces = mx.io.NDArrayIter(mx.nd.random.uniform(0, 255, (8, 3, 32, 32)), mx.nd.arange(8) % 4, 4, label_name="label")
    net.fit(faces, eval_metric=mx.metric.Loss(), num_epoch=1, initializer=mx.init.Xavier())
    assert np.isfinite(net.score(faces, mx.metric.Loss())[0][1])


def images(identity: int) -> list[bytes]:
    import cv2

    random = np.random.RandomState(identity)
    colour = random.randint(0, 200, (4, 4, 3))
    noisy = [np.kron(colour, np.ones((8, 8, 1))) + random.randint(0, 55, (32, 32, 3)) for _ in range(4)]
    return [cv2.imencode(".png", pixels.astype(np.uint8))[1].tobytes() for pixels in noisy]


def whole_path() -> None:
    """Write records, train, export and embed."""
    with RecordWriter("faces", 32, 32) as writer:
        for identity in range(4):
            for encoded in images(identity):
                writer.add(identity, encoded)
    for command in (TRAIN, "data check faces", "export run --out out --fold", "data unpack faces images"):
        assert main(command.split()) == 0, command
    assert main(["embed", "out", "images", "out.npz"]) == 0
    with np.load("out.npz") as stored:
        assert stored["vectors"].shape == (16, 8) and np.isfinite(stored["vectors"]).all()
    assert load_model("out").embedding_size == 8


def recipe() -> None:
    """Run a recipe on the records of `whole_path`, and the commands that need the paper's tables."""
    from arcface_mx.data.bins.write import write_pairs

    crops = [images(identity) for identity in range(4, 24)]
    pairs = [[crops[k][0], crops[k][1]] if k % 2 else [crops[k][2], crops[k - 1][3]] for k in range(20)]
    write_pairs("faces/pairs.bin", [crop for pair in pairs for crop in pair], [k % 2 == 1 for k in range(20)])
    os.environ.update(DATA="faces", BUDGET="laptop", STEPS="4", RUN="runs/row")
    small = "--width 0.07 --embedding-size 8 --batch-size 8 --image-size 32"
    for command in (f"recipe arcface_m0.50 {small}", "table runs/row", "angles runs/row", "report runs/row"):
        assert main(command.split()) == 0, command
    assert not os.path.exists(".venv") and main(["doctor"]) == 0


if __name__ == "__main__":
    ten_lines()
    whole_path()
    recipe()
    versions = f"Python {sys.version.split()[0]}, numpy {np.__version__}, mxnet {mx.__version__}"
    package = os.path.dirname(arcface_mx.__file__)
    print(f"smoke test passed: arcface-mx {arcface_mx.__version__}, {versions}, from {package}")
