"""Device lists such as "cpu", "cpu(0),cpu(1)" and "gpu(0),gpu(1)", and what depends on the kind of device."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, List, Tuple, Union

from arcface_mx.util.cuda import fusion_works
from arcface_mx.util.errors import UserError
from arcface_mx.util.mxnet_import import TO_GPU

if TYPE_CHECKING:
    import mxnet as mx


@dataclass(frozen=True)
class DeviceSettings:
    """What differs between CPU and GPU. Only this class decides it.

    Parameters
    ----------
    half_products : bool
        MXNet has convolutions and fully connected layers in half precision there.
    fast_prelu : bool
        Train with the form of PReLU whose products are convolutions (`symbols/backbones/prelu.py`).
        It is faster with oneDNN, that is, on CPUs. On GPUs cuDNN would compute a grouped convolution.
    cudnn_dropout : bool
        Leave dropout to cuDNN where MXNet would. `mx.random.seed` does not reach its random numbers,
        so that no step could be repeated.
    variables : tuple of (str, str)
        Environment variables that MXNet reads when it binds a graph, with their values. They are set
        by `set_variables`, unless the user has set them.
    """

    half_products: bool = True
    fast_prelu: bool = False
    cudnn_dropout: bool = False
    variables: Tuple[Tuple[str, str], ...] = ()

    def set_variables(self) -> None:
        """Set the environment variables. On GPUs, also turn off fusion if it cannot work here."""
        for name, value in self.variables:
            os.environ.setdefault(name, value)
        if self.variables and not fusion_works():
            os.environ.setdefault("MXNET_USE_FUSION", "0")


CPU_SETTINGS = DeviceSettings(half_products=False, fast_prelu=True, cudnn_dropout=True)
GPU_VARIABLES = {
    # Choose among the convolution algorithms that need at most 1 GB of workspace. MXNet's default, 1, sets no limit.
    "MXNET_CUDNN_AUTOTUNE_DEFAULT": "2",
    # Queue the forward pass as one operation, with one wait at its end. MXNet's default is 15 operators each.
    "MXNET_EXEC_BULK_EXEC_MAX_NODE_TRAIN_FWD": "999",
    # Shorter parts in the backward pass, because a gradient can be summed over the devices once its part has ended.
    "MXNET_EXEC_BULK_EXEC_MAX_NODE_TRAIN_BWD": "25",
    # Update this many arrays in one kernel. MXNet's default is 4, and its largest number 60.
    "MXNET_OPTIMIZER_AGGREGATION_SIZE": "54",
}
# Choose the algorithms by rule and not by timing, and none that adds in varying order.
# They do not concern TF32, which rounds in the same way each time.
DETERMINISTIC_VARIABLES = {"MXNET_CUDNN_AUTOTUNE_DEFAULT": "0", "MXNET_ENFORCE_DETERMINISM": "1"}
# cuBLAS and cuDNN then compute products of float32 in float32 on cards that would round their inputs to TF32.
EXACT_VARIABLES = {"NVIDIA_TF32_OVERRIDE": "0"}


def device_settings(
    devices: Union[str, List[mx.Context]], deterministic: bool = False, tf32: bool = True
) -> DeviceSettings:
    """Return the settings for a list of devices, which need not be in this machine.

    `deterministic` asks for the same bits in each run also on GPUs; CPUs give them anyway. `tf32` allows
    products of float32 whose inputs are rounded to 10 bits of mantissa, on cards that have them.
    """
    if isinstance(devices, str):
        kinds = {kind for kind, _ in device_names(devices)}
    else:
        kinds = {context.device_type for context in devices}
    if kinds == {"cpu"}:
        return CPU_SETTINGS
    variables = {
        **GPU_VARIABLES,
        **(DETERMINISTIC_VARIABLES if deterministic else {}),
        **({} if tf32 else EXACT_VARIABLES),
    }
    return DeviceSettings(variables=tuple(variables.items()))


def parse_devices(devices: str) -> List[mx.Context]:
    """Return the contexts of a device list; raise UserError if the list is wrong or a GPU is missing."""
    import mxnet as mx

    names = device_names(devices)
    gpus = [number for kind, number in names if kind == "gpu"]
    count = _count_gpus() if gpus else 0
    if gpus and max(gpus) >= count:
        raise UserError("`devices`: " + no_such_gpu(max(gpus), count, mx.runtime.Features().is_enabled("CUDA")))
    return [mx.Context(kind, number) for kind, number in names]


def no_such_gpu(number: int, count: int, cuda_build: bool, place: str = "") -> str:
    """Say that a GPU is missing, here or at another place, and what to do."""
    remedy = "Use a lower number, or cpu."
    if not cuda_build:
        remedy = f"The installed mxnet is a CPU build. For GPUs run: {TO_GPU}"
    return f"there is no gpu({number}){place}. Number of GPUs that MXNet sees: {count}. {remedy}"


def _count_gpus() -> int:
    """Return the number of GPUs that MXNet sees; raise UserError if the driver refuses to tell."""
    import mxnet as mx

    try:
        return mx.context.num_gpus()
    except mx.MXNetError as error:
        reason = str(error).strip().splitlines()[-1]
        raise UserError(f"`devices`: MXNet cannot use NVIDIA's driver ({reason}); run: arcface-mx doctor --gpu")


def device_names(devices: str) -> List[Tuple[str, int]]:
    """Return kind and number of each device of a list; raise UserError if the list is wrong."""
    names = []
    for part in devices.split(","):
        match = re.fullmatch(r"\s*(cpu|gpu)(?:\((\d+)\)|(\d+))?\s*", part)
        if not match:
            raise UserError(
                f"`devices` is {devices!r}: cannot read {part!r}; write for example cpu, gpu(0) or gpu(0),gpu(1)"
            )
        names.append((match.group(1), int(match.group(2) or match.group(3) or 0)))
    if len(set(names)) != len(names):
        raise UserError(f"`devices` is {devices!r}: a device is named twice")
    if len({kind for kind, _ in names}) > 1:
        raise UserError(
            f"`devices` is {devices!r}: name devices of one kind, because each gets an equal part of a batch"
        )
    return names
