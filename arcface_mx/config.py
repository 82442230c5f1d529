"""The configuration of a training run: frozen dataclasses, grouped as a reader thinks.

The command line is derived from these fields (flags.py), so each default stands here and
nowhere else. Defaults are the paper's settings for CASIA-WebFace; `metadata` holds the help text
with its unit, and whether two runs that differ in the field are the same run.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Dict, Mapping, Optional, Tuple

from arcface_mx.util.errors import UserError


def _flag(default: Any, text: str, choices: Optional[Tuple[str, ...]] = None, same_run: bool = False) -> Any:
    """A field with its help; `same_run`: changing it on resume leaves the result what it is."""
    return field(default=default, metadata={"help": text, "choices": choices, "same_run": same_run})


@dataclass(frozen=True)
class DataConfig:
    """What is read, and how an image is varied."""

    data: str = _flag("", "folder with train.rec, train.idx, property (InsightFace's layout)")
    eval: Tuple[str, ...] = _flag(
        (), "verification sets, .bin files; measured at the end and every --eval-every", same_run=True
    )
    image_size: int = _flag(112, "side of the network's input in pixels; photos are scaled down to it")
    batch_size: int = _flag(512, "images a step, over all devices together")
    images_per_identity: int = _flag(
        0, "photos of each person in a batch, for losses on tuples (0: images in random order)"
    )
    reader: str = _flag(
        "mxnet",
        "images in random order: by MXNet's native iterator, or by threads with opencv-python, which decodes faster (another order of images)",
        ("mxnet", "opencv"),
    )
    mirror: bool = _flag(True, "mirror half of the images")
    shift: int = _flag(0, "random shift of the crop, at most this many pixels of the network's input each way")
    rotate: int = _flag(0, "random rotation, at most this many degrees each way")
    zoom: float = _flag(0.0, "random change of size, at most this share each way (0.1: 0.9 to 1.1)")
    jitter: float = _flag(0.0, "random brightness, contrast and saturation, at most this share each way")


@dataclass(frozen=True)
class NetworkConfig:
    """The backbone."""

    network: str = _flag(
        "iresnet50", "iresnet18|34|50|100, mobilefacenet, gluoncv:NAME, or init: the graph of --init, whatever it is"
    )
    width: float = _flag(1.0, "factor on the number of filters")
    units: Tuple[int, ...] = _flag(
        (), "iresnet: residual units in each stage, in the place of the name's (none: the name's)"
    )
    embedding_size: int = _flag(512, "length d of the embedding")
    dropout: float = _flag(0.4, "dropout before the embedding layer, share of values set to 0")
    dtype: str = _flag(
        "float32",
        "of the backbone's layers; float16 needs GPUs, its weights are kept in float32 too",
        ("float32", "float16"),
    )
    freeze_batchnorm: bool = _flag(
        False, "use BatchNorm's stored statistics while training, and leave them as they are"
    )


@dataclass(frozen=True)
class LossConfig:
    """The loss (paper.csv's rows are choices of these)."""

    loss: str = _flag("margin", "one of the names in arcface_mx/losses/losses.py")
    scale: float = _flag(64.0, "feature scale s")
    m1: float = _flag(1.0, "margin m1 of eq. 4: factor on the angle")
    m2: float = _flag(0.5, "margin m2 of eq. 4: added to the angle, radians")
    m3: float = _flag(0.0, "margin m3 of eq. 4: taken from the cosine")
    policy: str = _flag("none", "what the margin does where m1*theta + m2 > pi", ("none", "linear", "easy_margin"))
    literal: bool = _flag(False, "the nine operators of Algorithm 1 and nothing else (can give NaN)")
    head: str = _flag(
        "graph",
        "margin and softmax: graph, MXNet's own operators; native, one compiled operator (CPU; needs g++); auto, native where it can be had",
        ("graph", "native", "auto"),
    )
    margin_ramp: float = _flag(0.0, "share of the run over which the margins grow from 0 to their values")
    intra_weight: float = _flag(0.0, "weight of the intra-loss, eq. 5")
    inter_weight: float = _flag(0.0, "weight of the inter-loss, eq. 6")
    triplet_weight: float = _flag(0.0, "weight of the angular triplet loss on top of a classification loss")
    sample_rate: float = _flag(1.0, "share of each device's centres in a step, with --parallel centres (1: all, exact)")
    triplet_margin: float = _flag(
        0.35, "margin of triplet losses: radians (triplet), squared distance (euclidean_triplet)"
    )
    mining: str = _flag("semi_hard", "which tuples of a batch count", ("semi_hard", "facenet", "batch_hard", "all"))
    bag: int = _flag(
        1, "triplet losses: batches drawn for each that is trained on; the photos of the hardest triplets stay"
    )
    positive_margin: float = _flag(
        0.0, "contrastive: same pairs nearer than this cost nothing (distance of unit vectors)"
    )
    negative_margin: float = _flag(1.0, "contrastive: different pairs farther than this cost nothing")
    a_softmax_m: int = _flag(4, "A-Softmax: the whole number m on the angle")
    lambda_base: float = _flag(1000.0, "A-Softmax annealing: max(min, base*(1 + gamma*step)^-power)")
    lambda_gamma: float = _flag(0.12, "A-Softmax annealing: gamma")
    lambda_power: float = _flag(1.0, "A-Softmax annealing: power")
    lambda_min: float = _flag(5.0, "A-Softmax annealing: smallest lambda")
    loss_option: Tuple[str, ...] = _flag(
        (), "NAME=VALUE: a setting that this loss alone has (arcface_mx/losses/losses.py)"
    )


@dataclass(frozen=True)
class OptimizerConfig:
    """SGD and its schedule. Steps are counted in batches of --schedule-batch images."""

    lr: float = _flag(0.1, "first learning rate, for batches of --schedule-batch images")
    momentum: float = _flag(0.9, "momentum of SGD")
    weight_decay: float = _flag(5e-4, "weight decay (not on biases and BatchNorm's beta)")
    steps: int = _flag(32000, "length of the run in updates")
    lr_schedule: str = _flag(
        "steps", "steps: divide by 10 at each --lr-drops; cosine: half a cosine to 0", ("steps", "cosine")
    )
    lr_drops: Tuple[int, ...] = _flag((20000, 28000), "updates after which the learning rate is divided by 10")
    warmup_steps: int = _flag(0, "updates over which the learning rate grows linearly from 0")
    schedule_batch: int = _flag(
        0, "images a step for which lr and steps are meant; another --batch-size scales both (0: no scaling)"
    )
    accumulate: int = _flag(1, "batches whose gradients are added before an update")
    skip_bad_batches: int = _flag(
        0,
        "steps whose loss or gradient is not finite that are skipped, in the whole run, before it stops",
        same_run=True,
    )
    loss_scale: float = _flag(128.0, "with --dtype float16: factor on the gradient while it is in half precision")
    freeze: Tuple[str, ...] = _flag((), "regular expressions: parameters that stay as they are")
    lr_mult: Tuple[str, ...] = _flag((), "REGEX=FACTOR on the learning rate of parameters")


@dataclass(frozen=True)
class RunConfig:
    """Where it runs, what it keeps."""

    run: str = _flag("", "run folder to write", same_run=True)
    init: str = _flag("", "model to start from, weights only: a run folder or PREFIX,EPOCH")
    init_centres: str = _flag(
        "random",
        "class centres with --init: random, or mean: each person's mean embedding by that model",
        ("random", "mean"),
    )
    devices: str = _flag("cpu", "cpu | gpu(0) | gpu(0),gpu(1) | cpu(0),cpu(1)", same_run=True)
    parallel: str = _flag(
        "data",
        "data: every device holds all class centres; centres: each holds a part of them",
        ("data", "centres"),
        same_run=True,
    )
    kvstore: str = _flag(
        "device",
        "what adds the gradients: MXNet's stores, of this machine's devices or of all workers (dist_*, with launch); horovod, with launch",
        ("device", "local", "dist_sync", "dist_device_sync", "horovod"),
        same_run=True,
    )
    seed: int = _flag(0, "seed of initialisation, sample order, augmentation and dropout")
    decode_threads: int = _flag(0, "threads that decode images (0: as many as cores)", same_run=True)
    log_every: int = _flag(50, "steps between two log lines", same_run=True)
    eval_every: int = _flag(0, "steps between two verifications (0: at the end only)", same_run=True)
    checkpoint_every: int = _flag(1000, "steps between two checkpoints", same_run=True)
    tensorboard: bool = _flag(
        False, "also write the log's figures as TensorBoard events, in RUN/tensorboard", same_run=True
    )
    keep_checkpoints: int = _flag(2, "checkpoints kept, newest first", same_run=True)
    keep_every: int = _flag(0, "checkpoints whose step is a multiple of this are kept too (0: none)", same_run=True)


@dataclass(frozen=True)
class TrainConfig:
    """Everything `arcface-mx train` was told. Saved as config.json in the run folder."""

    data: DataConfig = field(default_factory=DataConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    run: RunConfig = field(default_factory=RunConfig)


GROUPS: Mapping[str, type] = {
    "data": DataConfig,
    "network": NetworkConfig,
    "loss": LossConfig,
    "optimizer": OptimizerConfig,
    "run": RunConfig,
}


def from_flat(values: Mapping[str, Any]) -> TrainConfig:
    """Build a checked TrainConfig from {field name: value}; names not given keep their default."""
    groups = {}
    for name, group in GROUPS.items():
        own = {f.name for f in dataclasses.fields(group)}
        groups[name] = group(**{key: value for key, value in values.items() if key in own})
    config = TrainConfig(**groups)
    check(config)
    return config


def to_flat(config: TrainConfig) -> Dict[str, Any]:
    """{field name: value} over all groups; field names are unique (tested)."""
    flat: Dict[str, Any] = {}
    for name in GROUPS:
        flat.update(dataclasses.asdict(getattr(config, name)))
    return flat


def differences(one: TrainConfig, other: TrainConfig, of_result: bool = False) -> Dict[str, Tuple[Any, Any]]:
    """Fields in which two configurations differ; `of_result`: only those that change the result."""
    found: Dict[str, Tuple[Any, Any]] = {}
    for name, group in GROUPS.items():
        for entry in dataclasses.fields(group):
            values = getattr(getattr(one, name), entry.name), getattr(getattr(other, name), entry.name)
            if values[0] != values[1] and not (of_result and entry.metadata["same_run"]):
                found[entry.name] = values
    return found


def to_json(config: TrainConfig) -> Dict[str, Any]:
    """The configuration as plain JSON values, grouped."""
    return dataclasses.asdict(config)


def from_json(value: Mapping[str, Any], source: str) -> TrainConfig:
    """Read what `to_json` wrote; `source` names the file in errors.

    Raises UserError on an unknown group or field and on a value of the wrong kind.
    """
    flat: Dict[str, Any] = {}
    for name, entries in value.items():
        if name not in GROUPS or not isinstance(entries, dict):
            raise UserError(f"{source}: unknown entry {name!r}; was it written by another version?")
        known = {f.name: f.default for f in dataclasses.fields(GROUPS[name])}
        kinds = {f.name: f.type for f in dataclasses.fields(GROUPS[name])}
        for key, entry in entries.items():
            if key not in known:
                raise UserError(f"{source}: unknown entry {name}.{key}; was it written by another version?")
            flat[key] = _typed(entry, known[key], f"{source}: {name}.{key}")
            items = {"Tuple[int, ...]": int, "Tuple[str, ...]": str}.get(str(kinds[key]))
            if items and not all(type(item) is items for item in flat[key]):
                raise UserError(f"{source}: {name}.{key} is {entry!r:.60}; every item must be a {items.__name__}")
    return from_flat(flat)


def _typed(value: Any, default: Any, where: str) -> Any:
    if isinstance(default, tuple) and isinstance(value, (list, tuple)):
        return tuple(value)
    if isinstance(default, float) and type(value) is int and abs(value) < 1 << 53:
        return float(value)
    if type(value) is not type(default) or (isinstance(value, str) and "\0" in value):
        raise UserError(f"{where} is {value!r:.60}; expected a value like {default!r}")
    return value


# Each: field, the smallest and largest value that makes sense.
_RANGES = (
    ("image_size", 16, 1024),
    ("batch_size", 1, 1 << 20),
    ("shift", 0, 64),
    ("rotate", 0, 180),
    ("zoom", 0.0, 0.9),
    ("jitter", 0.0, 1.0),
    ("width", 0.01, 8.0),
    ("embedding_size", 1, 1 << 16),
    ("dropout", 0.0, 0.99),
    ("scale", 1e-3, 1e4),
    ("m1", 0.0, 16.0),
    ("m2", 0.0, 3.1416),
    ("m3", 0.0, 2.0),
    ("margin_ramp", 0.0, 1.0),
    ("intra_weight", 0.0, 1e6),
    ("inter_weight", 0.0, 1e6),
    ("triplet_weight", 0.0, 1e6),
    ("sample_rate", 1e-6, 1.0),
    ("triplet_margin", 1e-6, 4.0),
    ("positive_margin", 0.0, 2.0),
    ("negative_margin", 1e-6, 2.0),
    ("a_softmax_m", 1, 16),
    ("lambda_base", 0.0, 1e9),
    ("lambda_gamma", 0.0, 1e3),
    ("lambda_power", 0.0, 10.0),
    ("lambda_min", 0.0, 1e9),
    ("images_per_identity", 0, 1024),
    ("bag", 1, 1024),
    ("lr", 0.0, 1e3),
    ("loss_scale", 1.0, 65536.0),
    ("momentum", 0.0, 0.9999),
    ("weight_decay", 0.0, 1.0),
    ("steps", 1, 1 << 40),
    ("warmup_steps", 0, 1 << 40),
    ("schedule_batch", 0, 1 << 20),
    ("accumulate", 1, 1 << 16),
    ("skip_bad_batches", 0, 1 << 20),
    ("seed", 0, (1 << 31) - 1),
    ("decode_threads", 0, 1024),
    ("log_every", 1, 1 << 40),
    ("eval_every", 0, 1 << 40),
    ("checkpoint_every", 1, 1 << 40),
    ("keep_checkpoints", 1, 1 << 20),
    ("keep_every", 0, 1 << 40),
)


def check(config: TrainConfig) -> None:
    """Raise UserError, naming the flag, where a value makes no sense."""
    flat = to_flat(config)
    for name, low, high in _RANGES:
        if not low <= flat[name] <= high:  # also refuses NaN
            raise UserError(f"{flag_name(name)} is {flat[name]!r}; it must lie in {low} to {high}")
    for group in GROUPS.values():
        for entry in dataclasses.fields(group):
            choices = entry.metadata["choices"]
            if choices and flat[entry.name] not in choices:
                raise UserError(f"{flag_name(entry.name)} is {flat[entry.name]!r}; choose one of {', '.join(choices)}")
    if flat["images_per_identity"] == 1 or (
        flat["images_per_identity"] and flat["batch_size"] % flat["images_per_identity"]
    ):
        raise UserError(
            f"--images-per-identity {flat['images_per_identity']}: must be at least 2 and divide "
            f"--batch-size {flat['batch_size']}"
        )
    drops = flat["lr_drops"]
    if list(drops) != sorted(set(drops)) or any(drop < 1 for drop in drops):
        raise UserError(f"--lr-drops is {','.join(map(str, drops))}; give ascending whole numbers of updates")


def flag_name(field_name: str) -> str:
    """The flag on the command line of a configuration field."""
    return "--" + field_name.replace("_", "-")
