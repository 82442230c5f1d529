"""`arcface-mx train`."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING, Any, Dict, Sequence

if TYPE_CHECKING:
    from arcface_mx.config import TrainConfig

HELP = """train a network on a face data set

Defaults are the paper's settings for CASIA-WebFace (IR-ResNet50, batch 512, 32,000 steps).
The same command continues a run that was interrupted.
Started by srun or mpirun with several tasks, each task is a worker of one run, as with arcface-mx launch.
Each loss has its own flags: arcface-mx train --loss cosface --help"""


def add_arguments(parser: argparse.ArgumentParser, arguments: Sequence[str] = ()) -> None:
    from arcface_mx.cli.shared.loss_flag import add_run_flags
    from arcface_mx.presets import PRESETS

    add_run_flags(parser, arguments, _stored_loss(arguments))
    parser.set_defaults(words=tuple(arguments))
    parser.add_argument("--preset", metavar=f"{{{','.join(PRESETS)}}}", help="defaults to start from (default: paper)")
    parser.add_argument("--config", metavar="FILE", help="settings to start from: the config.json of a run folder")
    parser.add_argument("--resume", metavar="RUN", help="continue the run in this folder with its own configuration")
    parser.add_argument("--print-config", action="store_true", help="print what differs from the defaults and stop")


def run(args: argparse.Namespace) -> int:
    from arcface_mx.config import TrainConfig, differences, flag_name

    config = configuration(args)
    if args.print_config:
        for name, (default, value) in differences(TrainConfig(), config).items():
            print(f"{flag_name(name)} {value} (default {default})")
        return 0
    from arcface_mx.launch import tasks
    from arcface_mx.util.devices import device_settings

    task = tasks.current_task(os.environ)
    if task and (config.run.kvstore.startswith(("dist", "horovod")) or "kvstore" not in vars(args)):
        kvstore = config.run.kvstore if config.run.kvstore not in ("local", "device", "nccl") else "dist_sync"
        return tasks.run(task, args.words, kvstore, config.run.devices)
    # CUDA's libraries may read their variables when `import mxnet` loads them.
    device_settings(config.run.devices, config.run.deterministic, config.network.tf32).set_variables()
    from arcface_mx.train.run import train

    train(config)
    return 0


def configuration(args: argparse.Namespace) -> TrainConfig:
    """Return the configuration of a command line: its flags over those of a preset, a file or a run."""
    from arcface_mx import config
    from arcface_mx.flags import given_values
    from arcface_mx.presets import preset_values
    from arcface_mx.util.errors import UserError

    values = given_values(args)
    sources = [name for name in ("preset", "config", "resume") if getattr(args, name)]
    if len(sources) > 1:
        raise UserError(f"`{sources[0]}` and `{sources[1]}` cannot be combined: both give the settings to start from")
    if args.preset:
        loss = config.find_loss(values.get("loss", config.ArcFace.name))
        values = {**preset_values(args.preset, loss, values), **values}
    if args.config:
        values = {**_stored_settings(args.config), "run": "", **values}
    if args.resume:
        values = {**_stored_settings(os.path.join(args.resume, "config.json")), **values, "run": args.resume}
    return config.from_flat(values)


def _stored_settings(path: str) -> Dict[str, Any]:
    """Return {setting: value} of a config.json."""
    from arcface_mx.config import to_flat
    from arcface_mx.train.folder import read_config_file

    return to_flat(read_config_file(path))


def _stored_loss(arguments: Sequence[str]) -> str:
    """Return the loss of the configuration that `--resume` or `--config` names, or the default loss."""
    from arcface_mx.util.errors import UserError

    for flag, path in zip(arguments, arguments[1:]):
        if flag in ("--resume", "--config"):
            try:
                return _stored_settings(os.path.join(path, "config.json") if flag == "--resume" else path)["loss"]
            except UserError:
                break  # `run` reports it
    return "arcface"
