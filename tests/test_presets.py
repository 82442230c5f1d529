"""The preset that fits is chosen and named; a number of steps keeps the shape of its schedule."""

from __future__ import annotations

import json

import pytest

from arcface_mx.cli import main
from arcface_mx.keywords import from_keywords
from arcface_mx.losses import ArcFace
from arcface_mx.presets import PRESETS, choose_preset, preset_values


def face_set(folder, images, classes):
    """The files of a face set that say how large it is: index and property."""
    folder.mkdir()
    (folder / "train.idx").write_text("".join(f"{n}\t0\n" for n in range(1 + images + classes)))
    (folder / "property").write_text(f"{classes},112,112")
    return str(folder)


def printed(capsys, *flags):
    """The configuration and the message of a command line."""
    assert main(["train", "--print-config", *flags]) == 0
    shown = capsys.readouterr()
    return json.loads(shown.out), shown.err


@pytest.mark.parametrize(
    "given, images, preset, words",
    [
        ({}, 200, "laptop", "no GPU, and"),
        ({}, 99_999, "laptop", "has 99999 images"),
        ({}, 100_000, "paper", "has 100000 images"),
        ({"devices": "gpu(0)"}, 200, "paper", "the run uses GPUs"),
        ({"init": "model,0"}, 200, "fine-tune", "`init` names a model"),
    ],
)
def test_the_preset_follows_devices_images_and_init(given, images, preset, words, tmp_path):
    data = face_set(tmp_path / "faces", images, 20)
    name, reason = choose_preset({**given, "data": data})
    assert name == preset and words in reason


def test_plan_takes_the_same_defaults_as_train(tmp_path, capsys):
    data = face_set(tmp_path / "faces", 200, 20)
    sizes = []
    for flags in ([], ["--preset", "laptop"], ["--preset", "paper"]):
        main(["plan", "--data", data, "--classes", "20", "--json", str(tmp_path / "plan.json"), *flags])
        sizes.append(json.loads((tmp_path / "plan.json").read_text())["total"])
    assert sizes[0] == sizes[1] < sizes[2] / 10


def test_workers_choose_no_preset_each_on_its_own(tmp_path):
    data = face_set(tmp_path / "faces", 200, 20)
    assert choose_preset({"data": data, "kvstore": "dist_sync"}) == ("", "")


def test_the_choice_is_said_in_one_line(tmp_path, capsys):
    data = face_set(tmp_path / "faces", 200, 20)
    config, message = printed(capsys, "--data", data)
    assert config["network"]["network"] == "iresnet18" and config["data"]["image_size"] == 32
    assert (
        message == f"preset laptop, because the run uses no GPU, and {data} has 200 images; --preset chooses another\n"
    )
    config, message = printed(capsys, "--data", data, "--init", "model,0")
    assert config["network"]["network"] == "init" and "because --init names a model" in message
    config, message = printed(capsys, "--data", data, "--preset", "paper")
    assert config["network"]["network"] == "iresnet50" and message == ""


@pytest.mark.parametrize(
    "classes, flags, steps, drops",
    [
        (10_572, [], 32_000, [20_000, 28_000]),
        (85_742, [], 180_000, [100_000, 160_000]),
        (85_742, ["--steps", "64000"], 64_000, [40_000, 56_000]),
        (85_742, ["--steps", "64000", "--lr-drops", "30000"], 64_000, [30_000]),
        (85_742, ["--lr-drops", "30000"], 32_000, [30_000]),
    ],
)
def test_the_papers_schedule_follows_the_number_of_classes_unless_one_is_given(
    classes, flags, steps, drops, tmp_path, capsys
):
    data = face_set(tmp_path / "faces", 10, classes)
    config, _ = printed(capsys, "--data", data, "--preset", "paper", *flags)
    assert (config["optimizer"]["steps"], config["optimizer"]["lr_drops"]) == (steps, drops)
    assert config["run"]["eval_every"] == 2000 and config["optimizer"]["schedule_batch"] == 512


def test_a_number_of_steps_keeps_the_shape_of_the_schedule():
    values = preset_values("laptop", ArcFace, {"steps": 140})
    assert (values["lr_drops"], values["warmup_steps"]) == ((90, 124), 9)
    assert preset_values("laptop", ArcFace)["lr_drops"] == PRESETS["laptop"]["lr_drops"]


def test_a_misspelled_preset_is_one_line_with_the_right_one(capsys):
    assert main(["train", "--preset", "labtop"]) == 2
    message = capsys.readouterr().err
    assert "got labtop; did you mean laptop?" in message and message.count("\n") == 1


@pytest.mark.parametrize("given", [{}, {"steps": 100}, {"steps": 100, "lr_drops": (50,)}])
@pytest.mark.parametrize("preset", ["paper", "laptop"])
def test_python_gets_the_schedule_of_the_command_line(preset, given, tmp_path, capsys):
    data = face_set(tmp_path / "faces", 200, 40_000)
    config = from_keywords("arcface", preset, {**given, "data": data})
    words = [f"--{name.replace('_', '-')}={str(value).strip('(,)')}" for name, value in given.items()]
    shown, _ = printed(capsys, "--data", data, "--preset", preset, *words)
    ours, shown = config.optimizer, shown["optimizer"]
    assert (ours.steps, list(ours.lr_drops), ours.warmup_steps) == (
        shown["steps"],
        shown["lr_drops"],
        shown["warmup_steps"],
    )
