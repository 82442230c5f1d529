"""The configuration of a training run: frozen dataclasses, grouped as a reader thinks.

The command line and `config.json` are derived from these fields (`flags.py`), so each default stands
here and nowhere else. Defaults are the paper's settings for CASIA-WebFace. Settings of the loss are
the fields of its own class (`arcface_mx/losses/`).
"""

from __future__ import annotations

import dataclasses
import difflib
from dataclasses import dataclass, field
from typing import Any, Dict, Iterable, List, Mapping, Tuple, Type

from arcface_mx.losses import LOSSES, ArcFace, Loss
from arcface_mx.util.errors import UserError
from arcface_mx.util.settings import check_settings, setting, typed

LARGE = 1 << 40


@dataclass(frozen=True)
class DataConfig:
    """The training data and its augmentation."""

    data: str = setting("", "folder with train.rec, train.idx and property, in InsightFace's layout")
    eval: Tuple[str, ...] = setting(
        (), "verification set, a .bin file; measured at the end and every `eval_every` steps", same_run=True
    )
    image_size: int = setting(112, "side of the network's input in pixels; images are scaled down to it", 16, 1024)
    batch_size: int = setting(512, "images a step, over all devices together", 1, 1 << 20)
    images_per_identity: int = setting(
        0, "images of each identity in a batch, for losses on tuples (0: images in random order)", 0, 1024
    )
    mirror: bool = setting(True, "mirror half of the images")
    shift: int = setting(0, "random shift, at most this many pixels of the network's input each way", 0, 64)
    rotate: int = setting(0, "random rotation, at most this many degrees each way", 0, 180)
    zoom: float = setting(0.0, "random enlargement, at most this share (0.1: up to 1.1)", 0.0, 0.9)
    jitter: float = setting(0.0, "random brightness, contrast and saturation, at most this share each way", 0.0, 1.0)


@dataclass(frozen=True)
class NetworkConfig:
    """The backbone."""

    network: str = setting(
        "iresnet50",
        "iresnet18, iresnet34, iresnet50, iresnet100, mobilefacenet, gluoncv:NAME, or init for the network of `init`",
    )
    width: float = setting(1.0, "factor on the number of filters", 0.01, 8.0)
    units: Tuple[int, ...] = setting(
        (),
        "units in each stage of an iresnet or of mobilefacenet, whose larger form is 2,8,16,4 (none: its usual ones)",
    )
    embedding_size: int = setting(512, "length d of the embedding", 1, 1 << 16)
    dropout: float = setting(0.4, "share of values that dropout sets to 0 before the embedding layer", 0.0, 0.99)
    dtype: str = setting(
        "float32",
        "type of the backbone's layers; float16 needs GPUs and keeps a float32 copy of the weights",
        choices=("float32", "float16"),
    )
    tf32: bool = setting(
        True, "on GPUs from compute capability 8.0 on, let products of float32 round their inputs to TF32 (10 bits)"
    )
    freeze_batchnorm: bool = setting(False, "train with BatchNorm's stored statistics and do not change them")


@dataclass(frozen=True)
class OptimizerConfig:
    """SGD and its schedule. Steps are counted in batches of `schedule_batch` images."""

    lr: float = setting(0.1, "first learning rate, for batches of `schedule_batch` images", 0.0, 1e3)
    momentum: float = setting(0.9, "momentum of SGD", 0.0, 0.9999)
    weight_decay: float = setting(5e-4, "weight decay (not on biases and BatchNorm's beta)", 0.0, 1.0)
    decay_all: bool = setting(False, "weight decay on biases and BatchNorm's beta too, as in the released code")
    steps: int = setting(32000, "length of the run in updates", 1, LARGE)
    lr_schedule: str = setting(
        "steps", "steps: divide by 10 at each of `lr_drops`; cosine: half a cosine to 0", choices=("steps", "cosine")
    )
    lr_drops: Tuple[int, ...] = setting((20000, 28000), "updates after which the learning rate is divided by 10")
    warmup_steps: int = setting(0, "updates over which the learning rate grows linearly from 0", 0, LARGE)
    schedule_batch: int = setting(
        0,
        "images a step for which lr and steps are meant; another `batch_size` scales both (0: no scaling)",
        0,
        1 << 20,
    )
    accumulate: int = setting(1, "batches whose gradients are added before an update", 1, 1 << 16)
    skip_bad_batches: int = setting(
        0,
        "how many steps with a loss or gradient that is not finite may be skipped in a run",
        0,
        1 << 20,
        same_run=True,
    )
    loss_scale: float = setting(
        128.0, "with float16: factor on the gradient of the mean loss in half precision; the first one", 1.0, 65536.0
    )
    dynamic_loss_scale: bool = setting(
        True, "halve the loss scale and skip the update when a gradient overflows; double it after 2,000 updates"
    )
    freeze: Tuple[str, ...] = setting((), "regular expression: parameters that are not trained")
    lr_mult: Tuple[str, ...] = setting((), "REGEX=FACTOR on the learning rate of parameters")


@dataclass(frozen=True)
class RunConfig:
    """Where the run takes place and what it keeps."""

    run: str = setting("", "run folder to write", same_run=True)
    init: str = setting("", "model to start from, weights only: a run folder or PREFIX,EPOCH")
    init_centres: str = setting(
        "random",
        "start of the class centres; mean: each identity's mean embedding by the model of `init`",
        choices=("random", "mean"),
    )
    devices: str = setting(
        "cpu",
        "cpu, gpu(0), gpu(0),gpu(1) or cpu(0),cpu(1); with several workers (launch), gpu gives each one of its own",
        same_run=True,
    )
    parallel: str = setting(
        "data",
        "data: every device holds all class centres; centres: each device holds a part of them",
        choices=("data", "centres"),
        same_run=True,
    )
    kvstore: str = setting(
        "device",
        "what adds the gradients; nccl is for GPUs of one process; dist_sync, dist_device_sync and horovod are for "
        "several workers (launch)",
        choices=("device", "local", "nccl", "dist_sync", "dist_device_sync", "horovod"),
        same_run=True,
    )
    seed: int = setting(0, "seed of initial values, order of images, augmentation and dropout", 0, (1 << 31) - 1)
    threads: int = setting(
        0,
        "threads that compute on each CPU device (0 or auto: all, half or one, whichever is the fastest when the run "
        "begins); results have the same bits for one number of threads only",
        0,
        1024,
        same_run=True,
    )
    decode_threads: int = setting(0, "threads that decode images (0: one a core)", 0, 1024, same_run=True)
    deterministic: bool = setting(
        False, "the same bits in each run also on GPUs, which is slower; on CPUs it changes nothing", same_run=True
    )
    log_every: int = setting(50, "steps between two log lines", 1, LARGE, same_run=True)
    eval_every: int = setting(0, "steps between two verifications (0: at the end only)", 0, LARGE, same_run=True)
    checkpoint_every: int = setting(1000, "steps between two checkpoints", 1, LARGE, same_run=True)
    tensorboard: bool = setting(False, "also write the log as TensorBoard events, in RUN/tensorboard", same_run=True)
    keep_checkpoints: int = setting(2, "number of latest checkpoints that are kept", 1, 1 << 20, same_run=True)
    keep_every: int = setting(
        0, "checkpoints whose step is a multiple of this are kept too (0: none)", 0, LARGE, same_run=True
    )


@dataclass(frozen=True)
class TrainConfig:
    """Everything that defines a training run. Saved as config.json in the run folder.

    Raises
    ------
    UserError
        If a value is out of its range or two values contradict each other.
    """

    data: DataConfig = field(default_factory=DataConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    loss: Loss = field(default_factory=ArcFace)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    run: RunConfig = field(default_factory=RunConfig)

    def __post_init__(self) -> None:
        for name in GROUPS:
            check_settings(getattr(self, name))
        tuples, size = self.data.images_per_identity, self.data.batch_size
        if tuples == 1 or (tuples and size % tuples):
            raise UserError(f"`images_per_identity` must be at least 2 and divide `batch_size` {size}, got {tuples}")
        drops = list(self.optimizer.lr_drops)
        if drops != sorted(set(drops)) or any(drop < 1 for drop in drops):
            raise UserError(f"`lr_drops` must be ascending numbers of updates, got {','.join(map(str, drops))}")


GROUPS: Mapping[str, type] = {
    "data": DataConfig,
    "network": NetworkConfig,
    "optimizer": OptimizerConfig,
    "run": RunConfig,
}


def find_loss(name: str) -> Type[Loss]:
    """Return the class of a loss by its name. Raises UserError with the known names."""
    if name not in LOSSES:
        raise UserError(f"`loss` must be one of {', '.join(LOSSES)}, got {name}")
    return LOSSES[name]


def field_table(loss: Type[Loss]) -> Dict[str, dataclasses.Field[Any]]:
    """Return {name: field} of all settings of a run with this loss. Names are unique over the groups."""
    groups: List[type] = [*GROUPS.values(), loss]
    return {entry.name: entry for group in groups for entry in dataclasses.fields(group)}


def from_flat(values: Mapping[str, Any]) -> TrainConfig:
    """Build a TrainConfig from {setting: value}; settings that are not given keep their default.

    Parameters
    ----------
    values : mapping
        "loss" is the name of a loss; its own settings stand beside all others.

    Raises
    ------
    UserError
        For an unknown setting, with the nearest known one, and for a value out of range.
    """
    loss = find_loss(values.get("loss", ArcFace.name))
    known = field_table(loss)
    for name in values:
        if name not in known and name != "loss":
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise UserError(f"{name}: the loss {loss.name} and the trainer have no such setting{hint}")

    def build(group: type) -> Any:
        names = {entry.name for entry in dataclasses.fields(group)}
        return group(**{name: value for name, value in values.items() if name in names})

    return TrainConfig(loss=build(loss), **{name: build(group) for name, group in GROUPS.items()})


def to_flat(config: TrainConfig) -> Dict[str, Any]:
    """Return {setting: value} over all groups, with the name of the loss under "loss"."""
    flat: Dict[str, Any] = {"loss": config.loss.name, **config.loss.settings()}
    for name in GROUPS:
        flat.update(dataclasses.asdict(getattr(config, name)))
    return flat


def differences(one: TrainConfig, other: TrainConfig, of_result: bool = False) -> Dict[str, Tuple[Any, Any]]:
    """Return {setting: (value of one, value of other)} where two configurations differ.

    Parameters
    ----------
    one, other : TrainConfig
    of_result : bool
        Only settings on which the result depends.
    """
    first, second = to_flat(one), to_flat(other)
    table = {**field_table(type(one.loss)), **field_table(type(other.loss))}
    found = {}
    for name in {**first, **second}:
        pair = first.get(name), second.get(name)
        same_run = name in table and table[name].metadata["same_run"]
        if pair[0] != pair[1] and not (of_result and same_run):
            found[name] = pair
    return found


def to_json(config: TrainConfig) -> Dict[str, Any]:
    """Return the configuration as plain JSON values, grouped."""
    groups = {name: dataclasses.asdict(getattr(config, name)) for name in GROUPS}
    return dict(groups, loss={"name": config.loss.name, **config.loss.settings()})


def from_json(value: Mapping[str, Any], source: str) -> TrainConfig:
    """Read what `to_json` returned; `source` names the file in errors.

    Raises
    ------
    UserError
        For an unknown group or setting and for a value of the wrong type.
    """
    return from_flat(settings_from_json(value, source))


def settings_from_json(value: Mapping[str, Any], source: str) -> Dict[str, Any]:
    """Return {setting: value} of what a file holds: settings in the groups of `to_json`, or without groups.

    Raises
    ------
    UserError
        As `from_json` does. The message names the nearest known setting.
    """
    flat: Dict[str, Any] = {}
    for name, entry in value.items():
        if isinstance(entry, dict) and (name in GROUPS or name == "loss"):
            flat.update({f"{name}.{key}": part for key, part in entry.items()})
        elif isinstance(entry, dict):
            raise UserError(f"{source}: unknown entry {name!r}{_nearest(str(name), [*GROUPS, 'loss'])}")
        else:
            flat[str(name)] = entry
    where = "loss.name" if "loss.name" in flat else "loss"
    loss = find_loss(typed(flat.pop(where, ArcFace.name), "", f"{source}: {where}"))
    groups, values = {**GROUPS, "loss": loss}, {"loss": loss.name}
    for place, entry in flat.items():
        group, _, name = place.rpartition(".")
        fields = {field.name: field for field in dataclasses.fields(groups[group])} if group else field_table(loss)
        if name not in fields:
            raise UserError(f"{source}: unknown entry {place}{_nearest(name, fields)}")
        values[name] = typed(entry, fields[name].default, f"{source}: {place}")
        item = {"Tuple[int, ...]": int, "Tuple[str, ...]": str}.get(str(fields[name].type))
        if item and not all(type(part) is item for part in values[name]):
            raise UserError(f"{source}: {place} is {entry!r:.60}; every item must be of type {item.__name__}")
        for part in values[name] if item is str else ():
            typed(part, "", f"{source}: {place}")
    return values


def _nearest(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]}?" if near else "; was it written by another version?"


def flag_name(setting_name: str) -> str:
    """Return the flag of a setting on the command line."""
    return "--" + setting_name.replace("_", "-")
