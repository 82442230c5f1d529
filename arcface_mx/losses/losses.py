"""The one table of losses: name → how its graph is built and what it needs.

A loss is per-sample vectors (N,) added with weights; the trainer divides by N and knows no loss
by name. To add one: a builder in symbols/, an entry here, a recipe, a line in the tests' list.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, Mapping, Optional, Tuple

from arcface_mx.config import LossConfig, TrainConfig
from arcface_mx.util.errors import UserError

Symbol = Any
CENTRES = "fc7_weight"  # the parameter behind symbols.class_centres
# (embedding (N, d), label (N,), num_classes, config, scheduled scalars (N,) by name) → LossGraph
Builder = Callable[[Symbol, Symbol, int, LossConfig, Mapping[str, Symbol]], "LossGraph"]


@dataclass(frozen=True)
class LossGraph:
    """Terms to minimise, {name: (weight, per-sample Symbol (N,))}, and what the log reads.

    logits: (N, n) class logits, where the loss has any; centres: the (n, d) Variable behind them,
    None where a class has not just one (the log then reads the logits' node "target_cosine").
    monitored: what the head itself gives the log, (N,) by name, in the place of what is read from
    logits and centres.
    """

    terms: Dict[str, Tuple[float, Symbol]]
    logits: Optional[Symbol] = None
    centres: Optional[Symbol] = None
    monitored: Mapping[str, Symbol] = field(default_factory=dict)


@dataclass(frozen=True)
class Loss:
    """One entry of the table."""

    build: Builder
    needs: str = "classes"  # class centres, or "tuples" of several photos a person
    scheduled: Tuple[str, ...] = ()  # names of scalars that change during training
    margin_term: Callable[[LossConfig], float] = field(default=lambda config: 0.0)
    last_angle: Callable[[LossConfig], float] = field(
        default=lambda config: math.pi
    )  # where the margin's policy starts
    scaled: bool = True  # logits are s·cosine
    distance: str = "angle"  # which of input/mining.py's distances its triplets have; "": it has none
    options: Mapping[str, float] = field(default_factory=dict)  # --loss-option names and their defaults
    native: bool = False  # has a compiled head


def _margin(embedding: Symbol, label: Symbol, n: int, config: LossConfig, scheduled: Mapping[str, Symbol]) -> LossGraph:
    from arcface_mx import symbols

    centres = symbols.class_centres(embedding, n)
    if config.head == "native":
        return _native(
            embedding, label, centres, n, config, (config.m1, config.m2, config.m3), scheduled.get("margin_ramp")
        )
    logits = symbols.margin_logits(
        embedding,
        label,
        n,
        scale=config.scale,
        m1=config.m1,
        m2=config.m2,
        m3=config.m3,
        policy=config.policy,
        literal=config.literal,
        weight=centres,
        ramp=scheduled.get("margin_ramp"),
    )
    return _classes(embedding, logits, label, centres, n, config)


def _softmax(
    embedding: Symbol, label: Symbol, n: int, config: LossConfig, scheduled: Mapping[str, Symbol]
) -> LossGraph:
    from arcface_mx import symbols

    centres = symbols.class_centres(embedding, n)
    return _classes(embedding, symbols.softmax_logits(embedding, n, weight=centres), label, centres, n, config)


def _norm_softmax(
    embedding: Symbol, label: Symbol, n: int, config: LossConfig, scheduled: Mapping[str, Symbol]
) -> LossGraph:
    from arcface_mx import symbols

    centres = symbols.class_centres(embedding, n)
    if config.head == "native":
        return _native(embedding, label, centres, n, config, (1.0, 0.0, 0.0), None)
    logits = symbols.norm_softmax_logits(embedding, n, scale=config.scale, weight=centres)
    return _classes(embedding, logits, label, centres, n, config)


def _a_softmax(
    embedding: Symbol, label: Symbol, n: int, config: LossConfig, scheduled: Mapping[str, Symbol]
) -> LossGraph:
    from arcface_mx import symbols

    centres = symbols.class_centres(embedding, n)
    logits = symbols.a_softmax_logits(embedding, label, n, config.a_softmax_m, scheduled["lambda"], weight=centres)
    return _classes(embedding, logits, label, centres, n, config)


def _sub_centre(
    embedding: Symbol, label: Symbol, n: int, config: LossConfig, scheduled: Mapping[str, Symbol]
) -> LossGraph:
    from arcface_mx import symbols

    count = option(config, "sub_centres")
    if count != int(count):
        raise UserError(f"--loss-option sub_centres={count:g}: give a whole number")
    logits = symbols.sub_centre_logits(
        embedding, label, n, sub_centres=int(count), scale=config.scale, m=config.m2, ramp=scheduled.get("margin_ramp")
    )
    return LossGraph({"cross_entropy": (1.0, symbols.cross_entropy(logits, label))}, logits)


def _adaface(
    embedding: Symbol, label: Symbol, n: int, config: LossConfig, scheduled: Mapping[str, Symbol]
) -> LossGraph:
    from arcface_mx import symbols

    centres = symbols.class_centres(embedding, n)
    logits = symbols.adaface_logits(
        embedding,
        label,
        n,
        scale=config.scale,
        m=option(config, "m"),
        h=option(config, "h"),
        weight=centres,
        ramp=scheduled.get("margin_ramp"),
    )
    return _classes(embedding, logits, label, centres, n, config)


def _native(
    embedding: Symbol,
    label: Symbol,
    centres: Symbol,
    n: int,
    config: LossConfig,
    margins: Tuple[float, float, float],
    ramp: Optional[Symbol],
) -> LossGraph:
    """Margin and cross-entropy in the compiled operator, and the terms on top."""
    from arcface_mx import symbols

    m1, m2, m3 = margins
    head = symbols.margin_cross_entropy(
        embedding, label, n, weight=centres, scale=config.scale, m1=m1, m2=m2, m3=m3, policy=config.policy, ramp=ramp
    )
    terms = dict({"cross_entropy": (1.0, head.pop("cross_entropy"))}, **_on_top(embedding, label, centres, n, config))
    return LossGraph(terms, centres=centres, monitored=head)


def _classes(
    embedding: Symbol, logits: Symbol, label: Symbol, centres: Symbol, n: int, config: LossConfig
) -> LossGraph:
    """Cross-entropy over class logits, and the terms on top of it that have a weight."""
    from arcface_mx import symbols

    terms = dict(
        {"cross_entropy": (1.0, symbols.cross_entropy(logits, label))}, **_on_top(embedding, label, centres, n, config)
    )
    return LossGraph(terms, logits, centres)


def _on_top(
    embedding: Symbol, label: Symbol, centres: Symbol, n: int, config: LossConfig
) -> Dict[str, Tuple[float, Symbol]]:
    """Intra, inter and triplet terms, those that have a weight."""
    from arcface_mx import symbols

    terms = {}
    if config.intra_weight:
        terms["intra"] = (config.intra_weight, symbols.intra_loss(embedding, label, centres))
    if config.inter_weight:
        terms["inter"] = (config.inter_weight, symbols.inter_loss(label, centres, n))
    if config.triplet_weight:
        terms["triplet"] = (config.triplet_weight, _angular(embedding, label, config))
    return terms


def _angular(embedding: Symbol, label: Symbol, config: LossConfig) -> Symbol:
    from arcface_mx import symbols

    return symbols.angular_triplet_loss(embedding, label, margin=config.triplet_margin, mining=config.mining)


def _triplet(
    embedding: Symbol, label: Symbol, n: int, config: LossConfig, scheduled: Mapping[str, Symbol]
) -> LossGraph:
    return LossGraph({"triplet": (1.0, _angular(embedding, label, config))})


def _euclidean(
    embedding: Symbol, label: Symbol, n: int, config: LossConfig, scheduled: Mapping[str, Symbol]
) -> LossGraph:
    from arcface_mx import symbols

    term = symbols.euclidean_triplet_loss(embedding, label, margin=config.triplet_margin, mining=config.mining)
    return LossGraph({"euclidean_triplet": (1.0, term)})


def _contrastive(
    embedding: Symbol, label: Symbol, n: int, config: LossConfig, scheduled: Mapping[str, Symbol]
) -> LossGraph:
    from arcface_mx import symbols

    term = symbols.contrastive_loss(
        embedding,
        label,
        positive_margin=config.positive_margin,
        negative_margin=config.negative_margin,
        mining=config.mining,
    )
    return LossGraph({"contrastive": (1.0, term)})


def _margin_at_right_angle(config: LossConfig) -> float:
    # Before training every angle is near 90°, where eq. 4 lowers the target's cosine by this much.
    return config.m3 - math.cos(config.m1 * math.pi / 2 + config.m2)


LOSSES: Dict[str, Loss] = {
    "margin": Loss(
        _margin,
        scheduled=("margin_ramp",),
        margin_term=_margin_at_right_angle,
        last_angle=lambda config: (math.pi - config.m2) / config.m1,
        native=True,
    ),
    "softmax": Loss(_softmax, scaled=False),
    "norm_softmax": Loss(_norm_softmax, native=True),
    "a_softmax": Loss(_a_softmax, scheduled=("lambda",), scaled=False),
    "sub_centre": Loss(
        _sub_centre,
        scheduled=("margin_ramp",),
        margin_term=lambda config: math.sin(config.m2),
        last_angle=lambda config: math.pi - config.m2,
        options={"sub_centres": 3},
    ),
    "adaface": Loss(
        _adaface,
        scheduled=("margin_ramp",),
        margin_term=lambda config: option(config, "m"),
        options={"m": 0.4, "h": 0.333},
    ),
    "triplet": Loss(_triplet, needs="tuples"),
    "euclidean_triplet": Loss(_euclidean, needs="tuples", distance="squared"),
    "contrastive": Loss(_contrastive, needs="tuples", distance=""),
}


def find(name: str) -> Loss:
    """The table's entry; raises UserError with the known names."""
    if name not in LOSSES:
        raise UserError(f"--loss {name}: unknown; choose one of {', '.join(LOSSES)}")
    return LOSSES[name]


def option(config: LossConfig, name: str) -> float:
    """A setting of the chosen loss: its --loss-option, else the table's default (`options`)."""
    return options(config)[name]


def options(config: LossConfig) -> Dict[str, float]:
    """All settings that the chosen loss alone has.

    Raises UserError on a --loss-option that this loss does not have, and on one that is no number.
    """
    known = dict(find(config.loss).options)
    for given in config.loss_option:
        key, _, value = given.partition("=")
        if key not in known:
            raise UserError(
                f"--loss-option {given}: --loss {config.loss} has {', '.join(sorted(known)) or 'no settings of its own'}"
            )
        try:
            known[key] = float(value)
        except ValueError:
            raise UserError(f"--loss-option {given}: give NAME=NUMBER")
    return known


def needs_tuples(config: LossConfig) -> bool:
    """Whether batches must hold several photos of each person."""
    return find(config.loss).needs == "tuples" or config.triplet_weight > 0.0


def check_needs(config: TrainConfig) -> None:
    """Raise UserError where a loss on tuples gets no tuples, or a bag has no triplets to mine."""
    if needs_tuples(config.loss) and not config.data.images_per_identity:
        raise UserError(
            f"--loss {config.loss.loss} compares photos of one person: give --images-per-identity, for example 4"
        )
    if config.loss.bag > 1:
        bag_distance(config.loss)


def bag_distance(config: LossConfig) -> str:
    """The distance by which a --bag is mined. Raises UserError for a loss without triplets."""
    distance = find(config.loss).distance if needs_tuples(config) else ""
    if not distance:
        raise UserError(
            f"--bag {config.bag}: --loss {config.loss} has no triplets to mine; bags are for triplet losses"
        )
    return distance


def expected_first_loss(config: LossConfig, num_classes: int, embedding_size: int) -> Optional[float]:
    """Cross-entropy before the first update: ln n + (margin term)·s + s²/(2d), random unit vectors in d.

    For softmax with bias and A-Softmax, whose logits start with variance 1, ln n + 1/2. None for a
    loss without class logits.
    """
    loss = find(config.loss)
    if loss.needs == "tuples":
        return None
    if not loss.scaled:
        return math.log(num_classes) + 0.5
    term = 0.0 if config.margin_ramp else loss.margin_term(config)
    return math.log(num_classes) + term * config.scale + config.scale**2 / (2 * embedding_size)


def scale_floor(num_classes: int) -> float:
    """The smallest sensible scale for n classes, AdaCos' √2·ln(n − 1)."""
    return math.sqrt(2.0) * math.log(max(2, num_classes - 1))
