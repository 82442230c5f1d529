"""RunState is all that changes between two steps; resume is exact, on other devices too."""

from __future__ import annotations

import contextlib
import hashlib
import json
import numbers
import os
import re
import shutil
import subprocess
import sys

import mxnet as mx
import numpy as np
import pytest

from arcface_mx.cli import main
from arcface_mx.model import backbone
from arcface_mx.train import log, loop, loss_scale
from arcface_mx.train.run import train
from arcface_mx.util.devices import device_settings
from arcface_mx.util.errors import UserError
from tests import conftest
from tests.conftest import write_tiny_faces
from tests.support.half import emulate
from tests.support.training import assert_same, events, final, interrupt_after, tiny

HALF = {"dtype": "float16", "units": (1, 1)}

# Paths from a Trainer, and why a resume need not restore them beyond RunState.
MAY_CHANGE = {
    r"self\._module\._exec_group\.(param_arrays|execs\[\d+\]\.\w+)\b.*": "RunState.arg_params",
    r"self\._module\._exec_group\.aux_arrays\b.*": "RunState.aux_params",
    r"self\._module\._(arg|aux)_params\b.*": "RunState, a copy on the CPU",
    r"self\._module\._updater\.states\b.*": "RunState.momentum",
    r"self\.step": "RunState.step",
    r"self\._best\b.*": "RunState.best",
    r"self\._guard\.skipped": "RunState.skipped",
    r"self\.(_scheduler|_module\._optimizer\.lr_scheduler)\.step": "a function of the step, set before each update",
    r"self\._module\._(optimizer|updater\.optimizer)\.(num_update|_\w*update_counts?)\b.*": "SGD does not read it",
    r"self\._module\._exec_group\.(\w*grad|data|label|shared_data)_arrays\b.*": "written anew in each step",
    r"self\._guard\._checks\b.*": "written anew in each step",
    r"self\._guard\._statistics\b.*": "RunState.device_statistics, and a copy that is written anew in each step",
    r"self\._(scale|guard\._scale)\..*": "RunState.loss_scale",
    r"self\._module\._optimizer\.rescale_grad": "a function of the loss scale, set before each update",
    r"self\._next_batch\b.*": "a function of the position, which is one of the step",
    r"self\._meter\b.*": "metrics since the last log line",
    r"self\._(log|stall|slowdown)\b.*": "messages",
}


def snapshot(name, value, found, seen):
    """{path: digest or value} of all that can be reached by attributes, items and list places."""
    if isinstance(value, mx.nd.NDArray):
        found[name] = hashlib.sha256(value.asnumpy().tobytes()).hexdigest()
    elif isinstance(value, np.ndarray):
        found[name] = hashlib.sha256(value.tobytes()).hexdigest()
    elif value is None or isinstance(value, (numbers.Number, str, bytes, bool)):
        found[name] = value
    elif id(value) in seen:
        return
    else:
        seen.add(id(value))
        if isinstance(value, dict):
            for key, item in value.items():
                snapshot(f"{name}[{key}]", item, found, seen)
        elif isinstance(value, (list, tuple)):
            for place, item in enumerate(value):
                snapshot(f"{name}[{place}]", item, found, seen)
        elif type(value).__module__.startswith(("arcface_mx", "mxnet")) and hasattr(value, "__dict__"):
            for key, item in vars(value).items():
                snapshot(f"{name}.{key}", item, found, seen)


@pytest.mark.parametrize("values", [{}, pytest.param(HALF, marks=pytest.mark.slow)], ids=str)
def test_nothing_else_changes_between_steps(tmp_path, tiny_faces, monkeypatch, values):
    shots = []
    if values:
        emulate(monkeypatch)
        monkeypatch.setattr(loss_scale, "PATIENCE", 4)

    def step(self):
        mx.nd.waitall()
        found, seen = {}, set()
        trainer = sys._getframe(1).f_locals["self"]
        fields = sorted(vars(trainer).items(), key=lambda field: field[0] != "_module")  # others refer to it
        for name, value in fields:
            snapshot("self." + name, value, found, seen)
        found["numpy's random state"] = np.random.get_state()[1].tobytes()
        shots.append(found)

    monkeypatch.setattr(log.RunLog, "step", step)
    train(tiny(tmp_path, tiny_faces, dropout=0.3, margin_ramp=0.5, lr_drops=(4,), **values))
    assert len(shots) == 12
    changed = {
        path for one, two in zip(shots[2:], shots[3:]) for path in set(one) | set(two) if one.get(path) != two.get(path)
    }
    explained = {pattern: {path for path in changed if re.fullmatch(pattern, path)} for pattern in MAY_CHANGE}
    unexplained = changed - set().union(*explained.values())
    assert not unexplained, sorted(unexplained)
    for pattern in (
        *([r"self\._(scale|guard\._scale)\..*", r"self\._module\._optimizer\.rescale_grad"] if values else []),
        r"self\._module\._updater\.states\b.*",
        r"self\.step",
        r"self\.(_scheduler|_module\._optimizer\.lr_scheduler)\.step",
    ):
        assert explained[pattern], f"the walk does not reach {pattern}"
    assert any("param_arrays" in path for path in changed) and any("aux_arrays" in path for path in changed)


@pytest.mark.slow
def test_random_numbers_drawn_elsewhere_change_nothing(tmp_path, tiny_faces, monkeypatch):
    plain, disturbed = (tiny(tmp_path, tiny_faces, name, dropout=0.3, jitter=0.2) for name in ("plain", "disturbed"))
    train(plain)

    def step(self):
        np.random.seed(5)
        mx.random.seed(5)
        mx.nd.random.uniform(shape=3).wait_to_read()

    monkeypatch.setattr(log.RunLog, "step", step)
    train(disturbed)
    assert_same(final(plain), final(disturbed))


@pytest.mark.slow
@pytest.mark.parametrize("tuples", [False, True])
def test_other_numbers_of_devices_see_the_same_samples_and_end_alike(tmp_path, tiny_faces, monkeypatch, tuples):
    """1 → 2 → 4 → 1 devices, three steps on each."""
    values = {"freeze_batchnorm": True, "loss": "norm_softmax", "lr": 0.01}
    if tuples:
        values.update(images_per_identity=2)
    order, real = [], loop.Trainer._inputs

    def inputs(self, batch):
        order.append((self.step, batch.records.tolist(), batch.labels.tolist()))
        return real(self, batch)

    monkeypatch.setattr(loop.Trainer, "_inputs", inputs)
    unbroken = tiny(tmp_path, tiny_faces, "unbroken", **values)
    train(unbroken)
    expected = list(order)
    order.clear()
    for devices in ("cpu", "cpu(0),cpu(1)", "cpu(0),cpu(1),cpu(2),cpu(3)"):
        with monkeypatch.context() as patch:
            interrupt_after(patch, 3)
            with pytest.raises(KeyboardInterrupt):
                train(tiny(tmp_path, tiny_faces, "broken", devices=devices, **values))
    broken = tiny(tmp_path, tiny_faces, "broken", **values)
    train(broken)
    assert order == expected
    assert_same(final(unbroken), final(broken), 1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("devices", [2, 3])
def test_a_run_on_several_devices_resumes_with_the_statistics_of_each(tmp_path, tiny_faces, monkeypatch, devices):
    """The mean over the devices would differ from an unbroken run's in the last digits, and so would the export."""
    values = {"devices": ",".join(f"cpu({place})" for place in range(devices)), "batch_size": 4 * devices, "steps": 6}
    unbroken, broken = (tiny(tmp_path, tiny_faces, name, **values) for name in ("unbroken", "broken"))
    train(unbroken)
    for steps in (2, 3):
        with monkeypatch.context() as patch:
            interrupt_after(patch, steps)
            with pytest.raises(KeyboardInterrupt):
                train(broken)
    train(broken)
    one, two = final(unbroken), final(broken)
    assert_same(one, two)
    assert len(one.device_statistics) == len(two.device_statistics) == devices
    for first, second in zip(one.device_statistics, two.device_statistics):
        for name in first:
            np.testing.assert_array_equal(first[name].asnumpy(), second[name].asnumpy(), err_msg=name)
    first, last = one.device_statistics[0], one.device_statistics[-1]
    assert any((first[name].asnumpy() != last[name].asnumpy()).any() for name in first)


@pytest.mark.slow
@pytest.mark.parametrize("first, second", [("cpu", "gpu(0)"), ("gpu(0)", "cpu")])
@pytest.mark.parametrize("parallel", ["data", "centres"])
def test_a_run_moves_between_cpu_and_gpu(tmp_path, tiny_faces, monkeypatch, parallel, first, second):
    """The PReLU slopes have another shape there. The settings are those of GPUs; the devices are CPUs."""
    values = {"freeze_batchnorm": True, "loss": "norm_softmax", "lr": 0.01, "parallel": parallel}
    unbroken, broken = (tiny(tmp_path, tiny_faces, name, **values) for name in ("unbroken", "broken"))
    train(unbroken)
    shapes = []
    for steps, devices in ((5, first), (4, second), (99, first)):
        with monkeypatch.context() as patch:
            patch.setattr(backbone, "device_settings", lambda _, devices=devices: device_settings(devices))
            interrupt_after(patch, steps)
            if steps < 10:
                with pytest.raises(KeyboardInterrupt):
                    train(broken)
            else:
                train(broken)
        shapes += [{array.shape for name, array in group.items() if name == "relu0_gamma"} for group in _groups(broken)]
    forms = {"cpu": (4, 1, 1, 1), "gpu(0)": (4,)}
    assert shapes == [{forms[devices]} for devices in (first, second, first) for _ in range(2)]
    for one, other in zip(_groups(unbroken), _groups(broken)):
        for name in one:
            a, b = one[name].asnumpy().ravel(), other[name].asnumpy().ravel()
            np.testing.assert_allclose(a, b, rtol=0, atol=1e-6 * max(1.0, np.abs(a).max()), err_msg=name)


def _groups(config):
    """Parameters and momentum of the latest checkpoint."""
    state = final(config)
    return state.arg_params, state.momentum


@pytest.mark.slow
def test_resume_by_name_goes_on_with_the_runs_own_settings(tmp_path, tiny_faces, monkeypatch):
    unbroken, broken = (tiny(tmp_path, tiny_faces, name) for name in ("unbroken", "broken"))
    train(unbroken)
    with monkeypatch.context() as patch:
        interrupt_after(patch, 5)
        with pytest.raises(KeyboardInterrupt):
            train(broken)
    assert main(["train", "--resume", broken.run.run]) == 0
    assert_same(final(unbroken), final(broken))


@pytest.mark.slow
def test_a_stored_configuration_starts_the_same_run_again(tmp_path, tiny_faces):
    first = tiny(tmp_path, tiny_faces, "first", loss="cosface", m=0.25)
    train(first)
    again = str(tmp_path / "again")
    assert main(["train", "--config", os.path.join(first.run.run, "config.json"), "--run", again]) == 0
    assert_same(final(first), final(tiny(tmp_path, tiny_faces, "again", loss="cosface", m=0.25)))
    shown = os.path.join(first.run.run, "config.json")
    assert main(["train", "--config", shown, "--m", "0.3", "--steps", "2", "--run", str(tmp_path / "other")]) == 0
    with open(str(tmp_path / "other" / "config.json"), encoding="utf-8") as stream:
        assert json.load(stream)["loss"]["m"] == 0.3


@pytest.mark.parametrize(
    "words, message",
    [
        (["--config", "nowhere.json"], "nowhere.json: no such file"),
        (["--config", "a.json", "--resume", "runs/a"], "--config and --resume cannot be combined"),
        (["--preset", "desktop"], "--preset must be one of paper, laptop, photographs, fine-tune, got desktop"),
        (["--loss", "arcfase"], "--loss must be one of arcface, cosface"),
        (["--loss", "softmax", "--scale", "3"], "--scale: the loss softmax does not have it; arcface, cosface"),
    ],
)
def test_settings_to_start_from_that_do_not_exist_are_named(words, message, capsys):
    try:
        code = main(["train", *words, "--data", "faces", "--run", "runs/x"])
    except SystemExit as exit:
        code = exit.code
    assert code == 2 and message in capsys.readouterr().err


def test_resume_of_what_is_no_run(tmp_path, capsys):
    assert main(["train", "--resume", str(tmp_path)]) == 2
    assert f"is {tmp_path} a run folder?" in capsys.readouterr().err


def test_a_run_does_not_go_on_with_other_data(tmp_path, monkeypatch):
    faces = str(tmp_path / "faces")
    write_tiny_faces(faces)
    with monkeypatch.context() as patch:
        interrupt_after(patch, 2)
        with pytest.raises(KeyboardInterrupt):
            train(tiny(tmp_path, faces))
    shutil.rmtree(faces)
    monkeypatch.setattr(
        conftest, "tiny_image", lambda identity, number, real=conftest.tiny_image: real(identity + 1, number)
    )
    write_tiny_faces(faces)
    with pytest.raises(UserError, match="started on other images or labels than"):
        train(tiny(tmp_path, faces))


@pytest.mark.slow
def test_a_disk_that_fills_up_stops_the_run_and_room_lets_it_go_on(tmp_path, tiny_faces, monkeypatch):
    place, filler, count = tmp_path / "disk", tmp_path / "disk" / "filler", []
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(place)], capture_output=True).returncode:
        pytest.skip("a tmpfs cannot be mounted here")

    def step(self):
        count.append(1)
        if len(count) == 6:
            with contextlib.suppress(OSError), open(str(filler), "wb", buffering=0) as stream:
                while True:
                    stream.write(bytes(4096))

    try:
        unbroken, broken = tiny(tmp_path, tiny_faces, "unbroken"), tiny(place, tiny_faces, "broken")
        train(unbroken)
        with monkeypatch.context() as patch:
            patch.setattr(log.RunLog, "step", step)
            with pytest.raises(
                UserError, match="No space left on device.*(the one before is untouched|the checkpoints are untouched)"
            ):
                train(broken)
        assert final(broken).step == 4
        filler.unlink()
        train(broken)
        assert_same(final(unbroken), final(broken))
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_resume_elsewhere_is_said_and_written_down(tmp_path, tiny_faces, restored_threads, monkeypatch):
    config = tiny(tmp_path, tiny_faces)
    with monkeypatch.context() as patch:
        interrupt_after(patch, 2)
        with pytest.raises(KeyboardInterrupt):
            train(config)
    monkeypatch.setenv("OMP_NUM_THREADS", "97")
    train(config)
    warning = [entry["text"] for entry in events(config, "warning")]
    assert any("threads was " in text and "is '97' now" in text for text in warning)
    with open(os.path.join(config.run.run, "environment.json"), encoding="utf-8") as stream:
        environment = json.load(stream)
    assert environment["resumed_with"] == [{"threads": "97"}] and environment["threads"] != "97"
    assert set(environment["changes_results"]) <= set(environment)


@pytest.mark.slow
def test_two_runs_have_the_same_metrics_and_best(tmp_path, tiny_faces, tiny_pairs):
    from arcface_mx.train.folder import read_metrics
    from tests.support.kill import without_times

    found = []
    for name in ("one", "two"):
        config = tiny(tmp_path, tiny_faces, "run", eval=(tiny_pairs,), eval_every=4)
        train(config)
        found.append(without_times(read_metrics(config.run.run)))
        os.rename(config.run.run, str(tmp_path / name))
    assert found[0] == found[1] and found[0]["sets"]


@pytest.mark.slow
def test_the_headline_is_the_last_checkpoints_and_the_best_is_marked(tmp_path, tiny_faces, tiny_pairs, monkeypatch):
    """An earlier step verifies better: its figure stands under best_of_run and nowhere else."""
    from arcface_mx.train import loop as module

    monkeypatch.setattr(module, "mean_accuracy", lambda results: 1.5)
    config = tiny(tmp_path, tiny_faces, eval=(tiny_pairs,), eval_every=4)
    metrics = train(config)
    assert metrics["step"] == 12 and metrics["best_of_run"] == {"step": 4, "mean_accuracy": 1.5}
    own = [result["none"]["accuracy"] for result in metrics["sets"].values()]
    assert metrics["mean_accuracy"] == pytest.approx(float(np.mean(own))) and metrics["mean_accuracy"] <= 1.0
