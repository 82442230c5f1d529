"""Device lists are parsed, and the settings follow from the kind of device."""

from __future__ import annotations

import mxnet as mx
import pytest

from arcface_mx.util.devices import device_names, device_settings, parse_devices
from arcface_mx.util.errors import UserError


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


def test_only_cpus_train_with_the_fast_prelu():
    assert device_settings("cpu(0),cpu(1)").fast_prelu
    assert device_settings([mx.cpu(0), mx.cpu(1)]).fast_prelu
    assert not device_settings("gpu(0)").fast_prelu
    assert not device_settings([mx.gpu(0)]).fast_prelu
