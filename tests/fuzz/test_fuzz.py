"""Broken files of every kind are read or refused with UserError. `python -m tests.fuzz` reads more of them."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arcface_mx.model.graph_check import InvalidGraph, check_graph
from arcface_mx.util.errors import UserError
from tests.fuzz import pictures
from tests.fuzz.__main__ import read_or_refuse
from tests.fuzz.mutate import WORDS, mutate
from tests.fuzz.readers import READERS

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PURE = sorted(name for name, reader in READERS.items() if not reader.native)
RUNS = {"image": 200, "rec": 30, "symbol.json": 40}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(tmp_path_factory.mktemp("fuzz"))


@pytest.mark.parametrize("name", sorted(READERS))
def test_valid_files_are_read(name, folder):
    for content in READERS[name].seeds():
        READERS[name].read(content, folder)


@pytest.mark.parametrize("name", PURE)
def test_changed_files_are_read_or_refused(name, folder):
    seeds = READERS[name].seeds()

    @settings(max_examples=60)
    @given(st.integers(0, 2**32), st.sampled_from(seeds))
    def run(seed, content):
        read_or_refuse(READERS[name], mutate(content, seeds, random.Random(seed)), folder)

    run()


@pytest.mark.parametrize("name", PURE)
def test_any_bytes_are_read_or_refused(name, folder):
    @settings(max_examples=60)
    @given(
        st.lists(
            st.one_of(st.binary(max_size=40), st.sampled_from(WORDS), st.sampled_from(READERS[name].seeds())),
            max_size=4,
        )
    )
    def run(pieces):
        read_or_refuse(READERS[name], b"".join(pieces), folder)

    run()


@pytest.mark.slow
def test_native_readers_survive_changed_files():
    """A child process reads them, so that a death by signal fails this test and does not end all tests."""
    code = (
        f"from tests.fuzz.__main__ import fuzz\nfor name, runs in {RUNS!r}.items(): fuzz(name, runs, 0, {os.devnull!r})"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert set(RUNS) == {name for name, reader in READERS.items() if reader.native}


# Graphs that would end the process in MXNet, or run code


def graph(*nodes, heads=None, **more):
    return json.dumps(
        dict({"nodes": list(nodes), "heads": heads or [[len(nodes) - 1, 0, 0]], "arg_nodes": [0]}, **more)
    ).encode()


def node(op="null", name="data", inputs=(), **attrs):
    return {"op": op, "name": name, "inputs": [list(entry) for entry in inputs], "attrs": attrs}


DATA = node()
HOSTILE = {
    "an operator that takes an address": graph(
        DATA, node("_Native", "x", [(0, 0)], info="0x7f0000000000", need_top_grad="0")
    ),
    "an operator that reads files": graph(DATA, node("_cvimread", "x", [(0, 0)], filename="/etc/passwd")),
    "an operator that runs Python": graph(DATA, node("Custom", "x", [(0, 0)], op_type="y")),
    "a graph in a graph": graph(DATA, dict(node("relu", "x", [(0, 0)]), subgraphs=[{}])),
    "an input that comes later": graph(DATA, node("relu", "x", [(5, 0)])),
    "an input of itself": graph(DATA, node("relu", "x", [(1, 0)])),
    "an output that is not there": graph(DATA, node("relu", "x", [(0, 9)])),
    "a head that is not there": graph(DATA, node("relu", "x", [(0, 0)]), heads=[[7, 0, 0]]),
    "an argument that is not there": graph(DATA, node("relu", "x", [(0, 0)]), arg_nodes=[99]),
    "a stride of 0": graph(DATA, node("w", "x"), node("Pooling", "p", [(0, 0)], kernel="(2, 2)", stride="(0, 0)")),
    "no groups": graph(DATA, node("Convolution", "c", [(0, 0)], kernel="(3, 3)", num_filter="4", num_group="0")),
    "a norm whose scale is an image": graph(
        DATA, node("relu", "x", [(0, 0)]), node("InstanceNorm", "y", [(1, 0), (0, 0), (1, 0)])
    ),
    "a norm whose state is an image": graph(
        DATA,
        *(node(name=name) for name in "gbm"),
        node("BatchNorm", "x", [(0, 0), (1, 0), (2, 0), (3, 0), (0, 0)]),
        node("BatchNorm", "y", [(4, 0), (1, 0), (2, 0), (3, 0), (4, 0)]),
    ),
    "a shape of another number of values": graph(DATA, node("reshape", "x", [(0, 0)], target_shape="(3)")),
    "a block whose square is no number of 32 bits": graph(
        DATA, node("depth_to_space", "x", [(0, 0)], block_size=str(1 << 24))
    ),
    "a filter of 10^15": graph(
        DATA, node("Convolution", "c", [(0, 0)], kernel="(3, 3)", num_filter="1000000000000000")
    ),
    "a shape beyond 64 bits": graph(node("_zeros", "z", shape="(99999999999999999999, 2)"), arg_nodes=[]),
    "nothing": b"",
    "a deep nest": b"[" * 100000,
    "a list": b"[]",
    "no nodes": b'{"nodes": [], "heads": [[0, 0]]}',
    "settings that are no text": graph(DATA, dict(node("relu", "x", [(0, 0)]), attrs={"a": 1})),
    "a name with a zero": graph(node(name="a\0b")),
}


@pytest.mark.parametrize("case", sorted(HOSTILE))
def test_hostile_graphs_are_refused_before_mxnet_sees_them(case):
    with pytest.raises(InvalidGraph):
        check_graph(HOSTILE[case])


def test_a_layer_too_large_for_one_image_is_refused(tmp_path):
    import mxnet as mx

    from arcface_mx.model import load_model

    data = mx.sym.Variable("data", attr={"arcface_input_size": "32,32"})
    net = mx.sym.UpSampling(data, scale=1000, sample_type="nearest", name="huge")
    net = mx.sym.FullyConnected(
        mx.sym.Pooling(net, global_pool=True, kernel=(1, 1), pool_type="avg"), num_hidden=4, name="fc1"
    )
    prefix = str(tmp_path / "model")
    mx.model.save_checkpoint(prefix, 0, net, {"fc1_weight": mx.nd.ones((4, 3)), "fc1_bias": mx.nd.zeros(4)}, {})
    with pytest.raises(UserError, match="output of huge_output has shape .* for one image"):
        load_model(prefix + ",0")


def test_a_name_cannot_lead_out_of_the_folder(tmp_path):
    from arcface_mx.data.pack.unpack import read_names

    for name in ("../x", "/etc/x", "..", ".", "a/b", "a\0b", ""):
        (tmp_path / "names.txt").write_text(f"0\t{name}\t3\n")
        with pytest.raises(UserError, match="names.txt: line 1"):
            read_names(str(tmp_path / "names.txt"))


@pytest.mark.parametrize("start, split, join", [entry[:3] for entry in pictures.FORMATS])
def test_pictures_are_the_same_when_their_parts_are_joined_again(start, split, join):
    never = mock.Mock(random=lambda: 1.0)
    for content in READERS["image"].seeds():
        if content.startswith(start):
            assert len(split(content)) > 1 or start == b"RIFF"
            assert join(split(content), never) == content


def test_the_changes_of_pictures_reach_parts_that_are_decoded():
    chance, seeds = random.Random(0), READERS["image"].seeds()
    contents = [pictures.changed(chance.choice(seeds), seeds, chance) for _ in range(400)]
    assert len({content for content in contents}) > 300
    assert sum(b"acTL" in content or b"fcTL" in content for content in contents) > 3
