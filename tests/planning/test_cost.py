"""The cost model counts the operations of a graph, and grows with classes and devices as it should."""

from __future__ import annotations

import json
import re

import pytest

from arcface_mx.cli import main
from arcface_mx.cli.plan import CARD_NAMES
from arcface_mx.cli.plan import DEFAULT_CARD as PLAN_DEFAULT
from arcface_mx.config import from_flat
from arcface_mx.planning.cards import CARDS, DEFAULT_CARD, find_card
from arcface_mx.planning.cost import Backbone, Head, Machine, forward_operations, step_cost
from arcface_mx.planning.workload import Workload

RESNET50 = Backbone(operations=12.6e9, parameters=43.6e6, embedding_size=512)


def graph(**values):
    return Workload.of(from_flat(values)).backbone.symbol(training=True)


def cost(classes, split, devices=8):
    return step_cost(RESNET50, Head(classes, split), images=64, devices=devices)


@pytest.mark.parametrize("name, multiply_adds", [("iresnet50", 6.31e9), ("iresnet100", 12.1e9)])
def test_operations_are_those_published_for_the_backbones(name, multiply_adds):
    symbol = graph(network=name)
    assert forward_operations(symbol, data=(1, 3, 112, 112)) == pytest.approx(2 * multiply_adds, rel=0.02)


def test_operations_grow_with_the_batch():
    symbol = graph(network="iresnet18", image_size=32, width=0.1)
    one, eight = (forward_operations(symbol, data=(images, 3, 32, 32)) for images in (1, 8))
    assert eight == 8 * one


def test_split_centres_send_no_more_for_more_classes():
    few, many = (cost(classes, split=True).bytes_sent for classes in (1e5, 1e7))
    assert few == many
    few, many = (cost(classes, split=False).bytes_sent for classes in (1e5, 1e7))
    assert many > 20 * few


def test_one_device_sends_nothing():
    assert cost(1e6, split=False, devices=1).bytes_sent == 0


def test_a_million_identities_on_the_papers_machine():
    """The paper reports 800 images/s on 8 GPUs.

    With devices that sustain 4 TFLOPS and 5 GB/s, the model is near it if the centres are split by
    class, and far below it if each device holds them all.
    """
    machine = Machine(operations=4e12, bytes_sent=5e9, bytes_of_memory=300e9)
    speed = {split: 512 / sum(cost(1e6, split).seconds(machine).values()) for split in (True, False)}
    assert speed[True] == pytest.approx(800, rel=0.15)
    assert speed[False] < 0.6 * speed[True]


def test_a_v100_sustains_what_is_published_for_it():
    """234 images/s of ResNet100 with 85,742 identities, batch 64, on one card (DLPerf, MXNet 1.6)."""
    operations = forward_operations(graph(network="iresnet100"), data=(1, 3, 112, 112))
    cost = step_cost(Backbone(operations, 65e6, 512), Head(85_742, False), images=64, devices=1)
    assert 64 / sum(cost.seconds(find_card("v100").machine).values()) == pytest.approx(234, rel=0.05)


def test_a_card_sets_the_machine_and_its_memory_and_a_flag_overrides(tmp_path, capsys):
    assert tuple(CARDS) == CARD_NAMES and DEFAULT_CARD == PLAN_DEFAULT

    def speed(*flags):
        file = str(tmp_path / "scaling.json")
        small = "--network iresnet18 --image-size 32 --batch-size 16".split()
        assert main(["plan", "--scaling", *small, *flags, "--json", file]) == 0
        with open(file, encoding="utf-8") as stream:
            return json.load(stream)[0]["images_per_second"]

    assert speed() == speed("--card", "1080ti") == speed("--tflops", "4", "--link", "5", "--traffic", "300")
    assert speed("--card", "v100") > 2 * speed("--card", "v100", "--tflops", "1")
    capsys.readouterr()
    flags = ["--classes", "1000", "--network", "iresnet18", "--batch-size", "8", "--devices", "gpu(99)"]
    assert main(["plan", *flags, "--card", "t4"]) == 0
    assert "a device has 15800.0 MB" in capsys.readouterr().out


def test_the_command_prints_and_writes_the_table(tmp_path, capsys):
    file = str(tmp_path / "scaling.json")
    flags = "--network iresnet18 --image-size 32 --batch-size 16".split()
    assert main(["plan", "--scaling", *flags, "--json", file]) == 0
    assert re.search(r"\| centres +\| +1000000 \| +8 \|", capsys.readouterr().out)
    with open(file, encoding="utf-8") as stream:
        rows = json.load(stream)
    memory = {row["devices"]: row["gigabytes"] for row in rows if (row["mode"], row["classes"]) == ("data", 10_000)}
    assert memory[8] == memory[1024]  # a process for each GPU: no GPU adds the gradients of all
    refused = {(row["mode"], row["classes"]) for row in rows if row["limit"]}
    assert ("centres", 10_000_000) in refused and ("centres", 1_000_000) not in refused
