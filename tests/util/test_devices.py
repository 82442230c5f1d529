"""Device lists are parsed, and the settings follow from the kind of device."""

from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace

import mxnet as mx
import pytest

from arcface_mx.config import NetworkConfig
from arcface_mx.model.backbone import make_backbone
from arcface_mx.util import cuda
from arcface_mx.util import devices as devices_module
from arcface_mx.util.devices import (
    CPU_SETTINGS,
    DETERMINISTIC_VARIABLES,
    EXACT_VARIABLES,
    GPU_VARIABLES,
    device_names,
    device_settings,
    parse_devices,
)
from arcface_mx.util.errors import UserError
from tests.support.graph import operators


def test_a_list_names_kind_and_number():
    assert device_names("cpu") == [("cpu", 0)]
    assert device_names("gpu(0), gpu1") == [("gpu", 0), ("gpu", 1)]
    assert parse_devices("cpu(0),cpu(1)") == [mx.cpu(0), mx.cpu(1)]


@pytest.mark.parametrize("devices", ["", "tpu", "cpu(0),cpu(0)", "cpu,gpu", "gpu(-1)"])
def test_a_wrong_list_names_the_argument(devices):
    with pytest.raises(UserError, match="`devices` is "):
        device_names(devices)


def test_a_missing_gpu_is_refused():
    with pytest.raises(UserError, match=r"there is no gpu\(99\)"):
        parse_devices("gpu(99)")


def test_a_driver_that_refuses_is_named(monkeypatch):
    def refuse():
        raise mx.MXNetError("Traceback:\nCUDA: Check failed: e == cudaSuccess (35 vs. 0) : driver is insufficient")

    monkeypatch.setattr(mx.context, "num_gpus", refuse)
    with pytest.raises(UserError, match="driver is insufficient.*; run: arcface-mx doctor --gpu"):
        parse_devices("gpu(0)")


def test_only_cpus_train_with_the_fast_prelu_and_cudnns_dropout_is_never_used():
    for devices in ("cpu(0),cpu(1)", [mx.cpu(0), mx.cpu(1)]):
        assert device_settings(devices) == CPU_SETTINGS and CPU_SETTINGS.fast_prelu
    for devices in ("gpu(0)", [mx.gpu(0)]):
        assert not device_settings(devices).fast_prelu and not device_settings(devices).cudnn_dropout


@pytest.mark.parametrize(
    "network", [{}, {"network": "mobilefacenet"}, {"network": "gluoncv:resnet18_v1b", "width": 1.0}], ids=str
)
def test_the_training_graph_of_gpus_can_be_repeated_and_has_no_grouped_1x1_convolution(network):
    config = NetworkConfig(**{"network": "iresnet18", "width": 0.07, "embedding_size": 16, "dropout": 0.4, **network})
    nodes = {
        devices: operators(make_backbone(config, 112, devices=devices).symbol(training=True))
        for devices in ("cpu", "gpu(0),gpu(1)")
    }
    dropouts = [attributes for name, attributes in nodes["gpu(0),gpu(1)"] if name == "Dropout"]
    assert dropouts and all(attributes["cudnn_off"] == "True" for attributes in dropouts)
    assert not any("cudnn_off" in attributes for _, attributes in nodes["cpu"])
    pointwise = [attributes for _, attributes in nodes["gpu(0),gpu(1)"] if attributes.get("kernel") == "(1, 1)"]
    assert all(attributes.get("num_group", "1") == "1" for attributes in pointwise)


def test_variables_are_set_for_gpus_and_those_of_the_user_stay(monkeypatch):
    for name in (*DETERMINISTIC_VARIABLES, *EXACT_VARIABLES, "MXNET_USE_FUSION", *GPU_VARIABLES):
        monkeypatch.delenv(name, raising=False)
    before = dict(os.environ)
    device_settings("cpu", deterministic=True, tf32=False).set_variables()
    assert dict(os.environ) == before
    monkeypatch.setattr(devices_module, "fusion_works", lambda: False)
    monkeypatch.setattr(os, "environ", dict(before, MXNET_ENFORCE_DETERMINISM="0"))
    device_settings("gpu(0)").set_variables()
    assert os.environ["MXNET_CUDNN_AUTOTUNE_DEFAULT"] == "2" and os.environ["MXNET_USE_FUSION"] == "0"
    monkeypatch.setattr(devices_module, "fusion_works", lambda: True)
    monkeypatch.setattr(os, "environ", dict(before, MXNET_ENFORCE_DETERMINISM="0"))
    device_settings("gpu(0)", deterministic=True).set_variables()
    assert os.environ["MXNET_CUDNN_AUTOTUNE_DEFAULT"] == "0" and os.environ["MXNET_ENFORCE_DETERMINISM"] == "0"
    assert "MXNET_USE_FUSION" not in os.environ and "NVIDIA_TF32_OVERRIDE" not in os.environ
    device_settings("gpu(0)", tf32=False).set_variables()
    assert os.environ["NVIDIA_TF32_OVERRIDE"] == "0"


@pytest.mark.parametrize(
    "driver, compiler, known, works",
    [
        (11080, (11, 8), (70, 86, 89), True),
        (11070, (11, 7), (70, 86), False),  # an unknown architecture
        (11060, (11, 8), (70, 86, 89), False),  # an older driver
    ],
)
def test_fusion_needs_a_compiler_that_knows_the_cards_and_a_driver_that_loads_its_code(
    monkeypatch, driver, compiler, known, works
):
    """The cards have compute capability 8.6 and 8.9."""

    def write(*values):
        def call(*targets):
            for target, value in zip(targets, values):
                target._obj.value = value
            return 0

        call.__name__ = "call"
        return call

    def attribute(target, number, card):
        target._obj.value = {cuda.MAJOR: 8, cuda.MINOR: (6, 9)[card.value]}[number]
        return 0

    def get(target, number):
        target._obj.value = number
        return 0

    def supported(array):
        array[:] = known
        return 0

    libraries = {
        "libcuda.so.1": SimpleNamespace(
            cuInit=lambda flags: 0,
            cuDriverGetVersion=write(driver),
            cuDeviceGetCount=write(2),
            cuDeviceGet=get,
            cuDeviceGetAttribute=attribute,
        ),
        cuda.NVRTC: SimpleNamespace(
            nvrtcVersion=write(*compiler), nvrtcGetNumSupportedArchs=write(len(known)), nvrtcGetSupportedArchs=supported
        ),
    }
    monkeypatch.setattr(cuda.ctypes, "CDLL", libraries.__getitem__)
    assert cuda.fusion_works() is works


def test_fusion_does_not_work_without_the_libraries(monkeypatch):
    def missing(name):
        raise OSError(name)

    monkeypatch.setattr(cuda.ctypes, "CDLL", missing)
    assert not cuda.fusion_works()


@pytest.mark.parametrize("flags, override", [([], None), (["--no-tf32"], "0"), (["--deterministic"], None)])
def test_the_command_sets_the_variables_before_mxnet_is_imported(tmp_path, flags, override):
    """CUDA's libraries, which `import mxnet` loads, may read them then."""
    names = ["NVIDIA_TF32_OVERRIDE", "MXNET_ENFORCE_DETERMINISM", "MXNET_OPTIMIZER_AGGREGATION_SIZE"]
    (tmp_path / "mxnet.py").write_text(f"import os\nprint([os.environ.get(name) for name in {names}])\nos._exit(0)\n")
    command = [sys.executable, "-u", "-m", "arcface_mx", "train", "--data", "faces", "--run", "run", *flags]
    environment = {name: value for name, value in os.environ.items() if name not in names}
    environment["PYTHONPATH"] = f"{tmp_path}{os.pathsep}{os.getcwd()}"
    ended = subprocess.run([*command, "--devices", "gpu(0)"], capture_output=True, text=True, env=environment)
    determinism = "1" if "--deterministic" in flags else None
    assert ended.stdout == f"{[override, determinism, '54']}\n", ended.stderr
