"""The words of InsightFace, timm and GluonCV: what they are called here, flag by flag.

A word that means the same is taken. For another one the error says what to write here.
`recipes/flags.md` has the table, and its test runs every row.
"""

from __future__ import annotations

from typing import Dict, Mapping, Tuple

from arcface_mx.util.errors import UserError

# Other flags of a setting, with the same meaning and the same values.
SAME_FLAGS: Mapping[str, Tuple[str, ...]] = {
    "data": ("--rec",),
    "run": ("--output",),
    "image_size": ("--img-size",),
    "momentum": ("--mom",),
    "weight_decay": ("--wd",),
    "lr_drops": ("--lr-steps",),
    "log_every": ("--frequent", "--log-interval"),
    "keep_checkpoints": ("--checkpoint-hist",),
}
# Flags without a value that stand for a value of a setting.
SAME_VALUES: Mapping[str, Tuple[str, str]] = {"--fp16": ("dtype", "float16")}

NETWORKS = {"r18": "iresnet18", "r34": "iresnet34", "r50": "iresnet50", "r100": "iresnet100"}
LOSSES = {"nsoftmax": "norm_softmax"}

_NETWORK_HINTS = {
    "mbf": "write `network` mobilefacenet, the MXNet form; mbf of PyTorch has twice the channels between its blocks",
    "y1": "write `network` mobilefacenet with `embedding_size` 128",
}
_LOSS_HINTS = {
    "atriplet": "write triplet, which works on angles",
    "margin_softmax": "write combined with `m1`, `m2` and `m3`, or arcface, cosface, sphereface",
}

_EPOCHS = "schedules count steps: epochs × images / batch size. Write --{} N"
_READ = "the number is read from the data; remove the flag"
_MISSING = "arcface-mx has no {}; remove the flag"
_HINTS: Mapping[str, Tuple[str, ...]] = {
    "write --data FOLDER, the folder with train.rec, train.idx and property": (
        *("--dataset", "-d", "--data-dir", "--rec-train", "--rec-train-idx", "--use-rec"),
    ),
    "write --eval FILE.bin, once for each set": ("--val-targets", "--rec-val", "--rec-val-idx", "--val-split"),
    "write --run FOLDER": ("--models-root", "--extra-model-name", "--experiment", "--save-dir", "--logging-dir"),
    "write --init PREFIX,EPOCH or --init RUN": (
        *("--pretrained", "--pretrained-epoch", "--use-pretrained", "--initial-checkpoint", "--resume-params"),
    ),
    "write --resume RUN, which continues at the last checkpoint": (
        "--start-epoch",
        "--resume-epoch",
        "--resume-states",
    ),
    "write --network NAME, for example --network r50 or --network gluoncv:resnet50_v1b": ("--model", "-m"),
    "write --checkpoint-every N, and --keep-checkpoints N for how many are kept": (
        *("--ckpt", "--save-frequency", "--recovery-interval", "--save-all-states"),
    ),
    "write --eval-every N; --checkpoint-every N saves": ("--verbose",),
    "write --batch-size N, the images of all devices together": ("--per-batch-size", "-b"),
    "write --accumulate N; steps count updates here": ("--gradient-acc", "--grad-accum-steps"),
    "write --dtype float16; --loss-scale N is the factor on the gradient": ("--fp16-scale", "--amp", "--native-amp"),
    "write --devices, for example --devices 'gpu(0),gpu(1)'": ("--num-gpus", "--gpus"),
    "write --decode-threads N": ("--num-workers", "--num-data-workers", "--workers", "-j"),
    "workers are started by arcface-mx launch -n N -- train …; remove the flag": ("--worker-id", "--local-rank"),
    "margins belong to the loss. Write --loss arcface --m 0.5, or --loss combined --m1 1 --m2 0.3 --m3 0.2": (
        *("--margin-list", "--margin-m", "--margin-a", "--margin-b", "--margin-s", "--loss-type"),
    ),
    _READ: ("--num-classes", "--num-image"),
    _EPOCHS.format("steps"): ("--num-epoch", "--num-epochs", "--epochs"),
    _EPOCHS.format("warmup-steps"): ("--warmup-epoch", "--warmup-epochs"),
    _EPOCHS.format("lr-drops"): ("--lr-decay-epoch", "--lr-decay-period", "--decay-milestones", "--decay-epochs"),
    "write --lr-schedule steps or --lr-schedule cosine": ("--lr-mode", "--sched"),
    "each drop divides by 10; remove the flag": ("--lr-decay", "--decay-rate"),
    "the warm-up starts at 0; remove the flag": ("--warmup-lr",),
    "cosine ends at 0; remove the flag": ("--min-lr",),
    "the optimizer is SGD with --momentum; remove the flag": ("--opt", "--optimizer"),
    "write --image-size N; images are square": ("--input-size",),
    "the graph scales pixels itself; remove the flag": ("--mean", "--std"),
    "write --dropout X, before the embedding layer": ("--drop", "--drop-rate"),
    "half of the images are mirrored; --no-mirror turns it off": ("--hflip",),
    "write --jitter X": ("--color-jitter",),
    "write --tensorboard": ("--using-wandb", "--log-wandb", "--wandb-key"),
    _MISSING.format("filter of class centres"): ("--interclass-filtering-threshold",),
    _MISSING.format("DALI reader"): ("--dali",),
    _MISSING.format("clipping of gradients"): ("--clip-grad", "--clip-mode"),
    _MISSING.format("mixing of images or labels"): ("--mixup", "--cutmix", "--smoothing", "--label-smoothing"),
    _MISSING.format("such augmentation"): ("--aa", "--reprob", "--vflip", "--ratio"),
    _MISSING.format("average of weights"): ("--model-ema",),
    "BatchNorm is computed on each device; remove the flag": ("--sync-bn",),
    "networks are graphs; remove the flag": ("--mode", "--torchscript", "--channels-last"),
}
FLAG_HINTS: Dict[str, str] = {flag: f": {text}" for text, flags in _HINTS.items() for flag in flags}


def network_name(name: str) -> str:
    """Return the name of a network here. Raises UserError where a name of the field means another network."""
    if name in _NETWORK_HINTS:
        raise UserError(f"`network` {name} is unknown: {_NETWORK_HINTS[name]}")
    return NETWORKS.get(name, name)


def loss_name(name: str) -> str:
    """Return the name of a loss here. Raises UserError where a name of the field means another loss."""
    if name in _LOSS_HINTS:
        raise UserError(f"`loss` {name} is unknown: {_LOSS_HINTS[name]}")
    return LOSSES.get(name, name)
