"""The commands that the kill trial kills, and the files that they start from."""

from __future__ import annotations

import json
import os
import re
import zipfile
from typing import Callable, Dict, List, NamedTuple, Tuple

import numpy as np

from tests.conftest import tiny_image, write_tiny_faces, write_tiny_pairs

TRAINING = (
    "--network iresnet18 --width 0.07 --units 1,1 --embedding-size 16 --image-size 32 --batch-size 8 --dropout 0.3 "
    "--scale 16 --lr 0.05 --lr-drops 5 --steps 8 --log-every 4 --checkpoint-every 1 --keep-every 1 --eval-every 3"
).split()
# What states times, process ids or how often a run was resumed. It is not compared.
RECORDS = re.compile(r"(^|/)(environment\.json|log\.jsonl|run\.lock)$")
CHECKPOINT = re.compile(r"^(.*/checkpoints/step-\d+)/")


class Case(NamedTuple):
    """A command, its words, and what it leaves under final names.

    Attributes
    ----------
    words : tuple of str
        The command line; the folder of the case is the working directory, the inputs are in ``../inputs``.
    folders : tuple of str
        Folders that must appear complete.
    partial : str
        Prefix of the names that an interrupted command may leave, because the next one continues from them.
    is_new : bool
        Whether the command refuses to replace what it has made.
    """

    words: Tuple[str, ...]
    folders: Tuple[str, ...] = ()
    partial: str = ""
    is_new: bool = False


def _train(*more: str) -> Tuple[str, ...]:
    return ("train", "--data", "../inputs/faces", "--eval", "../inputs/tiny.bin", "--run", "run", *TRAINING, *more)


def _case(line: str, **values: object) -> Case:
    return Case(tuple(line.replace("@", "../inputs/").split()), **values)  # type: ignore[arg-type]


CASES: Dict[str, Case] = {
    "train": Case(_train(), partial="run/"),
    "train on two devices": Case(_train("--devices", "cpu(0),cpu(1)"), partial="run/"),
    "data pack": _case(
        "data pack @photos packed --size 32,32 --held-out 2 --workers 2", folders=("packed",), is_new=True
    ),
    "data pack of a zip file": _case(
        "data pack @photos.zip packed --size 32,32 --workers 1", folders=("packed",), is_new=True
    ),
    "data rendered": _case(
        "data rendered rendered --identities 3 --images 2 --test-identities 20 --test-images 2 --pairs 20 "
        "--supersampling 1 --workers 1",
        folders=("rendered",),
        is_new=True,
    ),
    "data align": _case(
        "data align @camera aligned --landmarks ../inputs/landmarks.txt --workers 2",
        folders=("aligned",),
        is_new=True,
    ),
    "embed": _case("embed @model @photos photos.npz", partial="photos.npz.parts/", is_new=True),
    "gallery build": _case("gallery build @model @photos gallery.npz"),
    "export": _case("export @runs/a --out exported --onnx --images @faces --calibrate @tiny.bin"),
    "table": _case("table @runs/a @runs/b --markdown t.md --csv t.csv --png t.png --json t.json"),
    "launch": Case(("launch", "-n", "2", "--", *_train()), partial="run/"),
}


def make_inputs(folder: str, run: Callable[[str, List[str]], None]) -> None:
    """Write the inputs of all cases; `run` runs a command line in a folder."""
    os.makedirs(os.path.join(folder, "photos"))
    write_tiny_faces(os.path.join(folder, "faces"))
    write_tiny_pairs(os.path.join(folder, "tiny.bin"))
    with zipfile.ZipFile(os.path.join(folder, "photos.zip"), "w") as archive:
        for identity in range(6):
            for number in range(4):
                name = f"identity{identity}/{number}.png"
                _write(os.path.join(folder, "photos", name), tiny_image(identity, number))
                archive.writestr(zipfile.ZipInfo(name), tiny_image(identity, number))
    _write_camera(folder)
    common = ["--data", "faces", "--eval", "tiny.bin", *TRAINING, "--steps", "2"]
    for name, margin in (("a", "0.5"), ("b", "0.3")):
        run(folder, ["train", *common, "--run", f"runs/{name}", "--m", margin])
    os.symlink(os.path.join("runs", "a"), os.path.join(folder, "model"))


def _write_camera(folder: str) -> None:
    """Write images of 160×160 pixels, and a list of their landmarks."""
    import cv2

    from arcface_mx.data.align.transform import REFERENCE

    lines = []
    for number in range(20):
        pixels = np.random.RandomState(number).randint(0, 256, (20, 20, 3)).astype(np.uint8).repeat(8, 0).repeat(8, 1)
        name = f"{number % 4}/{number}.png"
        _write(os.path.join(folder, "camera", name), cv2.imencode(".png", pixels)[1].tobytes())
        points = REFERENCE + 20 + number % 3
        lines.append(" ".join([name, *(f"{value:.2f}" for value in points.ravel())]))
    _write(os.path.join(folder, "landmarks.txt"), "\n".join(lines).encode() + b"\n")


def _write(path: str, content: bytes) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as stream:
        stream.write(content)


def contents(folder: str) -> Dict[str, bytes]:
    """Return the files below a folder, hidden ones too, without times; folders without files end in a slash."""
    found = {}
    for place, folders, names in os.walk(folder):
        if not folders and not names and place != folder:
            found[os.path.relpath(place, folder) + "/"] = b""
        for name in names:
            path = os.path.join(place, name)
            key = os.path.relpath(path, folder)
            with open(path, "rb") as stream:
                found[key] = b"" if RECORDS.search(key) else _without_times(key, stream.read())
    return found


def _without_times(name: str, content: bytes) -> bytes:
    if os.path.basename(name) != "metrics.json":
        return content

    def plain(value: object) -> object:
        if isinstance(value, list):
            return [plain(item) for item in value]
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items() if key != "seconds"}
        return value

    return json.dumps(plain(json.loads(content)), sort_keys=True).encode()


def is_hidden(name: str) -> bool:
    """Return whether a path is below a name that begins with a dot."""
    return any(part.startswith(".") for part in name.split("/"))


def faults_after_kill(case: Case, found: Dict[str, bytes], reference: Dict[str, bytes]) -> List[str]:
    """Return what a kill has left half-written under a final name."""
    faults = []
    for name, content in found.items():
        if is_hidden(name) or name.endswith("/"):
            continue
        if name not in reference:
            if not (case.partial and name.startswith(case.partial)):
                faults.append(f"{name} is there")
        elif content != reference[name]:
            faults.append(f"{name} is half-written")
    whole = [folder + "/" for folder in case.folders]
    whole += sorted({match.group(1) + "/" for match in map(CHECKPOINT.match, found) if match})
    for folder in whole:
        if any(name.startswith(folder) for name in found):
            faults += [f"{name} is missing" for name in reference if name.startswith(folder) and name not in found]
    return faults


def faults_at_end(found: Dict[str, bytes], reference: Dict[str, bytes]) -> List[str]:
    """Return how the end of a killed and repeated command differs from that of one that was not killed."""
    faults = [f"{name} is left over" for name in sorted(set(found) - set(reference))]
    faults += [f"{name} is missing" for name in sorted(set(reference) - set(found))]
    for name in sorted(set(found) & set(reference)):
        if found[name] != reference[name]:
            faults.append(f"{name} differs")
    return faults
