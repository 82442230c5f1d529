"""The cost model: operations counted in the graph, and what grows with classes and devices."""

from __future__ import annotations

import json

import pytest

from arcface_mx.cli import main
from arcface_mx.config import from_flat
from arcface_mx.model.backbone import embedding_symbol
from arcface_mx.planning.cost import Machine, forward_operations, step

R50 = {"forward": 12.6e9, "parameters": 43.6e6, "images": 64, "width": 512}


@pytest.mark.parametrize("name, multiply_adds", [("iresnet50", 6.31e9), ("iresnet100", 12.1e9)])
def test_operations_are_those_published_for_the_backbones(name, multiply_adds):
    symbol = embedding_symbol(from_flat({"network": name}), training=True)
    assert forward_operations(symbol, data=(1, 3, 112, 112)) == pytest.approx(2 * multiply_adds, rel=0.02)


def test_operations_grow_with_the_batch():
    symbol = embedding_symbol(from_flat({"network": "iresnet18", "image_size": 32, "width": 0.1}))
    one, eight = (forward_operations(symbol, data=(images, 3, 32, 32)) for images in (1, 8))
    assert eight == 8 * one


def test_split_centres_send_no_more_for_more_classes():
    few, many = (step(devices=8, classes=classes, split=True, **R50).sent for classes in (1e5, 1e7))
    assert few == many
    few, many = (step(devices=8, classes=classes, split=False, **R50).sent for classes in (1e5, 1e7))
    assert many > 20 * few


def test_one_device_sends_nothing():
    assert step(devices=1, classes=1e6, split=False, **R50).sent == 0


def test_the_papers_machine_at_a_million_people():
    """8 GPUs at 800 images/s. A device that sustains 4 TFLOPS and 5 GB/s is near it split by class, and not with whole centres."""
    machine = Machine(4e12, 5e9, 300e9)
    rate = {
        split: 512 / sum(step(devices=8, classes=1e6, split=split, **R50).seconds(machine).values())
        for split in (True, False)
    }
    assert rate[True] == pytest.approx(800, rel=0.15)
    assert rate[False] < 0.6 * rate[True]


def test_command(tmp_path, capsys):
    file = str(tmp_path / "scaling.json")
    assert (
        main(
            ["plan", "--scaling", "--network", "iresnet18", "--image-size", "32", "--batch-size", "16", "--json", file]
        )
        == 0
    )
    assert "| centres | 1000000 | 8 |" in capsys.readouterr().out
    with open(file, encoding="utf-8") as stream:
        rows = json.load(stream)
    refused = {(row["mode"], row["classes"]) for row in rows if row["limit"]}
    assert ("centres", 10_000_000) in refused and ("centres", 1_000_000) not in refused
