"""The measurements by name: what `arcface-mx bench` runs."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Tuple

from arcface_mx.bench import batch, embed, growth, head, network, reading, settings, start, table, verification
from arcface_mx.bench import operators as profile
from arcface_mx.bench.timing import Timing
from arcface_mx.util.errors import UserError


@dataclass(frozen=True)
class Options:
    """Settings of all measurements; each reads its own."""

    data: str = ""
    images: int = 0
    batch_size: int = 128
    classes: int = 10572
    embedding_size: int = 512
    network: str = "recipe"
    torch: str = ""
    dali: str = ""
    png: str = ""
    repetitions: int = 5


@dataclass(frozen=True)
class Measurement:
    """unit: of the rates. settings: the options it reads. run: gives timings, the baseline first."""

    unit: str
    settings: Tuple[str, ...]
    run: Callable[[Options], List[Timing]]


def _input(options: Options) -> List[Timing]:
    if not options.data:
        raise UserError("bench input: --data is missing: name a folder with train.rec")
    return reading.measure(options.data, options.images, options.batch_size, options.repetitions, options.dali)


def _head(options: Options) -> List[Timing]:
    return head.measure(options.classes, options.batch_size, options.embedding_size, options.repetitions)


def _network(training: bool) -> Callable[[Options], List[Timing]]:
    return lambda options: network.measure(options.network, training, options.repetitions, options.torch)


def _embed(options: Options) -> List[Timing]:
    return embed.measure(options.network, options.repetitions, options.torch)


def _batch(options: Options) -> List[Timing]:
    return batch.measure(options.network, options.repetitions)


def _settings(options: Options) -> List[Timing]:
    return settings.measure(options.network, options.repetitions)


def _render(options: Options) -> List[Timing]:
    from arcface_mx.bench import rendering

    return rendering.measure(options.images or 20, options.repetitions)


MEASUREMENTS: Dict[str, Measurement] = {
    "input": Measurement("images/s", ("data", "images", "batch_size", "dali"), _input),
    "head": Measurement("steps/s", ("classes", "batch_size", "embedding_size"), _head),
    "backbone": Measurement("images/s", ("network", "torch"), _network(False)),
    "step": Measurement("images/s", ("network", "torch"), _network(True)),
    "embed": Measurement("images/s", ("network", "torch"), _embed),
    "batch": Measurement("photos/s", ("network",), _batch),
    "settings": Measurement("images/s", ("network",), _settings),
    "verify": Measurement("sets/s", (), lambda options: verification.measure(options.repetitions)),
    "render": Measurement("photos/s", ("images",), _render),
    "start": Measurement("starts/s", (), lambda options: start.measure(options.repetitions)),
}


def measure(name: str, options: Options) -> Tuple[List[str], Dict[str, Any]]:
    """Lines of a table and where they come from, and the same for a JSON file. Raises UserError where a setting makes no sense."""
    if options.images < 0:
        raise UserError(f"--images {options.images}: give 0 or more")
    for setting in ("batch_size", "classes", "embedding_size", "repetitions"):
        if getattr(options, setting) < 1:
            raise UserError(f"--{setting.replace('_', '-')} {getattr(options, setting)}: give at least 1")
    own: Dict[str, Any] = {"repetitions": options.repetitions}
    if name == "growth":
        points = growth.measure(options.repetitions)
        if options.png:
            growth.draw(points, options.png)
        report = table.report(table.command(name, own), own, points=growth.to_json(points))
        return growth.lines(points) + table.origin(report), report
    if name == "profile":
        shares = profile.measure(options.network, options.repetitions)
        own = dict(own, network=options.network)
        report = table.report(table.command(name, own), own, operators=[dataclasses.asdict(one) for one in shares])
        return profile.lines(shares) + table.origin(report), report
    chosen = MEASUREMENTS[name]
    timings = chosen.run(options)
    own = dict({setting: getattr(options, setting) for setting in chosen.settings}, **own)
    figures = {"unit": chosen.unit, "timings": [dataclasses.asdict(one) for one in timings]}
    report = table.report(table.command(name, own), own, **figures)
    return table.lines(timings, chosen.unit) + table.origin(report), report
