"""Every setting of a run has the effect that the tables below state, and no other."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import os
import pathlib

import mxnet as mx
import pytest

from arcface_mx.config import GROUPS, NetworkConfig
from arcface_mx.data.recordio.writer import RecordWriter
from arcface_mx.model.backbone import make_backbone
from arcface_mx.train import checkpoint, resolve
from arcface_mx.train.module import build_module, initialise, start_optimizer
from arcface_mx.train.run import train
from arcface_mx.train.worker import join
from arcface_mx.util.errors import UserError
from tests.conftest import TINY_SIDE, tiny_image
from tests.support.training import TINY, events, tiny

TESTS = pathlib.Path(__file__).resolve().parents[1]
OTHER_FACES = "another face set"
NETWORK = {"graph", "parameters", "start", "decay", "trained"}  # what another architecture changes

# For each setting: another value, and what it changes of what `effects` returns.
CHANGES = {
    "data": (OTHER_FACES, {"images"}),
    "image_size": (16, {"shapes", "images", "parameters", "start"}),
    "batch_size": (4, {"shapes", "images", "rescale"}),
    "images_per_identity": (4, {"images"}),
    "mirror": (False, {"images"}),
    "shift": (2, {"images"}),
    "rotate": (10, {"images"}),
    "zoom": (0.2, {"images"}),
    "jitter": (0.2, {"images"}),
    "network": ("mobilefacenet", NETWORK),
    "width": (0.1, NETWORK - {"decay", "trained"}),
    "units": ((1, 1, 1, 1), NETWORK),
    "embedding_size": (8, NETWORK - {"decay", "trained"}),
    "dropout": (0.3, {"graph"}),
    "freeze_batchnorm": (True, {"graph"}),
    "tf32": (False, {"devices"}),
    "lr": (0.2, {"rates"}),
    "momentum": (0.5, {"momentum"}),
    "weight_decay": (0.1, {"weight decay"}),
    "decay_all": (True, {"decay"}),
    "steps": (20, {"rates", "scalars"}),
    "lr_schedule": ("cosine", {"rates"}),
    "lr_drops": ((3,), {"rates"}),
    "warmup_steps": (3, {"rates"}),
    "schedule_batch": (4, {"rates", "scalars"}),
    "accumulate": (2, {"gradients", "rescale"}),
    "freeze": (("^conv0_",), {"trained"}),
    "lr_mult": (("^conv0_=0.5",), {"factors"}),
    "devices": ("cpu(0),cpu(1)", {"devices"}),
    "parallel": ("centres", {"module"}),
    "kvstore": ("local", {"store"}),
    "seed": (1, {"images", "start"}),
    "decode_threads": (3, {"threads"}),
    "deterministic": (True, {"devices"}),
}
# For each setting: another value, and what it changes of what a run of seven steps leaves.
LEAVES = {
    "eval": ((), {"verified": []}),
    "log_every": (2, {"logged": [2, 4, 6, 7]}),
    "eval_every": (3, {"verified": [3, 6, 7], "kept": [3, 6, 7]}),
    "checkpoint_every": (4, {"kept": [4, 7]}),
    "tensorboard": (True, {"tensorboard": True}),
    "keep_checkpoints": (1, {"kept": [7]}),
    "keep_every": (2, {"kept": [2, 4, 6, 7]}),
}
LEFT = {"logged": [3, 6, 7], "verified": [7], "kept": [6, 7], "tensorboard": False}
# Settings whose effect is tested elsewhere.
ELSEWHERE = {
    "run": "train/test_resume.py",
    "init": "train/test_init_network.py",
    "init_centres": "train/test_init_centres.py",
    "dtype": "train/test_half_precision.py",
    "loss_scale": "train/test_loss_scale.py",
    "dynamic_loss_scale": "train/test_loss_scale.py",
    "skip_bad_batches": "train/test_guards.py",
    "threads": "train/test_threads.py",
}
BASE = {"margin_ramp": 0.5}  # a graph with a scalar


def test_every_setting_is_in_one_table():
    """A new setting is stated above before this test passes. Those of losses are in tests/losses."""
    settings = [field.name for group in GROUPS.values() for field in dataclasses.fields(group)]
    assert sorted(settings) == sorted([*CHANGES, *LEAVES, *ELSEWHERE])
    for name, path in ELSEWHERE.items():
        assert name in (TESTS / path).read_text(encoding="utf-8")


def sha(*arrays):
    return hashlib.sha256(b"".join(array.asnumpy().tobytes() for array in arrays)).hexdigest()


def effects(config, monkeypatch):
    """All that a configuration decides before the first step."""
    asked, real = [], resolve.device_settings
    with monkeypatch.context() as patch, mx.name.NameManager():
        patch.setattr(resolve, "device_settings", lambda *settings: (asked.append(settings), real(*settings))[1])
        run = resolve.resolve(config, join(config.run.kvstore))
    module = build_module(run)
    initialise(module, run.options.seed, {}, {})
    scheduler = start_optimizer(module, run)
    body = getattr(module, "body", module)  # a part of the module that splits the centres
    optimizer = body._optimizer
    rates = []
    for scheduler.step in range(run.schedule.steps):
        rates.append(optimizer.lr_scheduler(1))
    batches = list(itertools.islice(run.reader.batches(), 2))
    arguments, _ = module.get_params()
    scalars = [run.loss.scheduled(step, run.schedule.steps, run.schedule.factor) for step in range(6)]
    return {
        "graph": run.graph.symbol.tojson(),
        "shapes": (module.data_shapes, module.label_shapes),
        "images": [(sha(batch.pixels), batch.labels.tolist(), batch.records.tolist()) for batch in batches],
        "parameters": sorted((name, array.shape) for name, array in arguments.items()),
        "start": [sha(arguments[name]) for name in sorted(arguments) if not name.endswith("fc7_weight")],
        "rates": rates,
        "momentum": optimizer.momentum,
        "weight decay": optimizer.wd,
        "decay": sorted(optimizer.wd_mult.items()),
        "rescale": optimizer.rescale_grad,
        "factors": sorted(optimizer.lr_mult.items()),
        "gradients": body._grad_req,
        "trained": sorted(name for name in arguments if name not in body._fixed_param_names),
        "scalars": scalars,
        "devices": (run.contexts, asked),
        "module": type(module).__name__,
        "store": run.worker.kvstore,
        "threads": run.reader._threads,
    }


@pytest.fixture(scope="module")
def plain(tmp_path_factory, tiny_faces):
    with pytest.MonkeyPatch.context() as patch:
        return effects(tiny(tmp_path_factory.mktemp("plain"), tiny_faces, **BASE), patch)


@pytest.fixture(scope="module")
def other_faces(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("other") / "faces")
    with RecordWriter(folder, TINY_SIDE, TINY_SIDE) as writer:
        for identity, number in itertools.product(range(5), range(7)):
            writer.add(identity, tiny_image(10 + identity, number))
    return folder


@pytest.mark.parametrize("name", CHANGES)
def test_a_setting_changes_what_is_stated_and_nothing_else(name, plain, tmp_path, tiny_faces, other_faces, monkeypatch):
    value, stated = CHANGES[name]
    values = dict(BASE, **{name: other_faces if value == OTHER_FACES else value})
    found = effects(tiny(tmp_path, values.pop("data", tiny_faces), **values), monkeypatch)
    assert {effect for effect in plain if found[effect] != plain[effect]} == stated


@pytest.mark.parametrize("name", ["mirror", "shift", "rotate", "zoom", "jitter"])
def test_a_setting_of_the_augmentation_reaches_the_setting_of_its_name(name, tmp_path, tiny_faces):
    value = CHANGES[name][0]
    run = resolve.resolve(tiny(tmp_path, tiny_faces, **{name: value}), join("device"))
    plain = dict(image_size=32, mirror=True, shift=0, rotate=0, zoom=0.0, jitter=0.0)
    assert dataclasses.asdict(run.reader.augmentation) == {**plain, name: value}


def left(config):
    """What a run leaves in its folder."""
    return {
        "logged": [event["step"] for event in events(config, "step")],
        "verified": [event["step"] for event in events(config, "verification")],
        "kept": sorted(checkpoint.steps(config.run.run)),
        "tensorboard": os.path.isdir(os.path.join(config.run.run, "tensorboard")),
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", [None, *LEAVES])
def test_a_setting_changes_what_a_run_leaves(name, tmp_path, tiny_faces, tiny_pairs):
    value, stated = LEAVES.get(name, (None, {}))
    if name == "tensorboard":
        pytest.importorskip("tensorboardX")
    values = dict(steps=7, log_every=3, checkpoint_every=2, eval=(tiny_pairs,), units=(1,), lr=0.0)
    config = tiny(tmp_path, tiny_faces, **{**values, **({name: value} if name else {})})
    train(config)
    assert left(config) == {**LEFT, **stated}


@pytest.mark.parametrize(
    "setting",
    [{"embedding_size": 8}, {"width": 0.1}, {"units": (1, 1, 1, 1)}, {"dropout": 0.3}, {"freeze_batchnorm": True}],
    ids=lambda setting: next(iter(setting)),
)
@pytest.mark.parametrize("network", ["iresnet18", "mobilefacenet", "gluoncv:resnet18_v1b"])
def test_a_setting_of_the_network_reaches_each_graph_or_is_refused(network, setting):
    def graph(**values):
        settings = {key: TINY[key] for key in ("width", "embedding_size", "dropout")}
        settings["width"] = 1.0 if network.startswith("gluoncv") else settings["width"]
        with mx.name.NameManager():
            config = NetworkConfig(network=network, **{**settings, **values})
            return make_backbone(config, 32).symbol(training=True).tojson()

    if network.startswith("gluoncv") and set(setting) <= {"width", "units"}:
        with pytest.raises(UserError, match=f"`{next(iter(setting))}`"):
            graph(**setting)
    else:
        assert graph() != graph(**setting)


def test_a_bag_holds_the_images_of_several_batches(tmp_path, tiny_faces):
    config = tiny(tmp_path, tiny_faces, loss="triplet", images_per_identity=4, bag=3)
    batch = next(resolve.resolve(config, join("device")).reader.batches())
    assert len(batch.labels) == 3 * 8
