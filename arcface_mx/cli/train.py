"""`arcface-mx train`."""

from __future__ import annotations

import argparse
import json
import os
from typing import TYPE_CHECKING, Any, Dict, Sequence

if TYPE_CHECKING:
    from arcface_mx.config import TrainConfig

HELP = """train a network on a face data set

Defaults are those of a preset: paper (IR-ResNet50, batch 512, 32,000 steps, 180,000 from 30,000 classes
on), laptop (a small network, minutes on two cores) or fine-tune. The same command continues a run that
was interrupted.
Started by srun or mpirun with several tasks, each task is a worker of one run, as with arcface-mx launch.
A run that starts from a model (--init) is verified before and after; the exit code is 1 if it fell.
Each loss has its own flags: arcface-mx train --loss cosface --help"""


def add_arguments(parser: argparse.ArgumentParser, arguments: Sequence[str] = ()) -> None:
    from arcface_mx.cli.shared.loss_flag import add_run_flags
    from arcface_mx.cli.shared.preset_flag import add_preset_flag

    add_run_flags(parser, arguments, _stored_loss(arguments))
    parser.set_defaults(words=tuple(arguments))
    add_preset_flag(parser)
    parser.add_argument(
        "--config", metavar="FILE", help="settings to start from, JSON or YAML, for example config.json of a run"
    )
    parser.add_argument("--resume", metavar="RUN", help="continue the run in this folder with its own configuration")
    parser.add_argument(
        "--print-config", action="store_true", help="print the configuration as JSON, for --config, and stop"
    )


def run(args: argparse.Namespace) -> int:
    from arcface_mx.config import to_json

    config = configuration(args)
    if args.print_config:
        print(json.dumps(to_json(config), indent=2, sort_keys=True))
        return 0
    from arcface_mx.launch import tasks
    from arcface_mx.util.devices import device_settings

    task = tasks.current_task(os.environ)
    if task and (config.run.kvstore.startswith(("dist", "horovod")) or "kvstore" not in vars(args)):
        kvstore = config.run.kvstore if config.run.kvstore not in ("local", "device", "nccl") else "dist_sync"
        return tasks.run(task, args.words, kvstore, config.run.devices)
    # CUDA's libraries may read their variables when `import mxnet` loads them.
    device_settings(config.run.devices, config.run.deterministic, config.network.tf32).set_variables()
    from arcface_mx.train.fine_tuning import fell
    from arcface_mx.train.run import train

    return 1 if fell(train(config)) else 0


def configuration(args: argparse.Namespace) -> TrainConfig:
    """Return the configuration of a command line: its flags over those of a preset, a file or a run."""
    from arcface_mx.config import from_flat
    from arcface_mx.flags import given_values

    values = given_values(args)
    return from_flat(_all_settings(args, values))


def _all_settings(args: argparse.Namespace, values: Dict[str, Any]) -> Dict[str, Any]:
    """Return the settings of the flags, over those of a run, a file or a preset."""
    from arcface_mx.cli.shared.preset_flag import preset_settings
    from arcface_mx.launch import tasks
    from arcface_mx.util.errors import UserError

    sources = [name for name in ("preset", "config", "resume") if getattr(args, name)]
    if len(sources) > 1:
        raise UserError(f"`{sources[0]}` and `{sources[1]}` cannot be combined: both give the settings to start from")
    if args.resume:
        # The run keeps its number of threads, unless the flag gives another (`train/threads.py`).
        return {**_stored_settings(args.resume), "threads": 0, **values, "run": args.resume}
    if args.config:
        return {**_settings_of_file(args.config, values), **values}
    several = tasks.current_task(os.environ) is not None  # workers do not choose a preset each on its own
    return {**preset_settings(args.preset, values, choose=not several), **values}


def _stored_settings(run: str) -> Dict[str, Any]:
    from arcface_mx.config_file import read_settings

    return read_settings(os.path.join(run, "config.json"))


def _settings_of_file(path: str, values: Dict[str, Any]) -> Dict[str, Any]:
    """Return the settings of a file, without those of another loss than the one that the flags name."""
    from arcface_mx.config import field_table, find_loss
    from arcface_mx.config_file import RECORD, read_settings

    settings = read_settings(path)
    if os.path.basename(path) == RECORD:
        settings["run"] = ""  # the record of a run that exists
    known = field_table(find_loss(values.get("loss", settings["loss"])))
    return {name: value for name, value in settings.items() if name in known or name == "loss"}


def _stored_loss(arguments: Sequence[str]) -> str:
    """Return the loss of the configuration that `--resume` or `--config` names, or the default loss."""
    from arcface_mx.config_file import read_settings
    from arcface_mx.util.errors import UserError

    for flag, path in zip(arguments, arguments[1:]):
        if flag in ("--resume", "--config"):
            try:
                return (_stored_settings(path) if flag == "--resume" else read_settings(path))["loss"]
            except UserError:
                break  # `run` reports it
    return "arcface"
