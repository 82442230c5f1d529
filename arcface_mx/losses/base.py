"""What the trainer asks of a loss, and what losses with class logits share."""

from __future__ import annotations

import dataclasses
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Dict, Mapping, NamedTuple, Optional, Tuple

from arcface_mx.util.errors import UserError
from arcface_mx.util.settings import Setting, check_settings, setting

if TYPE_CHECKING:
    from mxnet.symbol import Symbol

CENTRES = "fc7_weight"  # the parameter that symbols.class_centres makes
SCALE_HELP, SCALE_RANGE = "feature scale s", (1e-3, 1e4)
TRIPLET_MINING = ("semi_hard", "facenet", "batch_hard")


@dataclass(frozen=True)
class LossInputs:
    """The symbols from which a loss builds its graph.

    Attributes
    ----------
    embedding : Symbol, shape (N, d)
    label : Symbol, shape (N,)
    num_classes : int
    scalars : mapping of str to Symbol, each of shape (N,)
        One input for each name in `Loss.scheduled_names`.
    native : bool
        Build the compiled operator instead of MXNet's own operators (`Loss.has_native` only).
    """

    embedding: Symbol
    label: Symbol
    num_classes: int
    scalars: Mapping[str, Symbol] = field(default_factory=dict)
    native: bool = False


@dataclass(frozen=True)
class LossGraph:
    """What a loss builds: terms to minimise, and what the log reads.

    Attributes
    ----------
    terms : dict of str to (float, Symbol)
        The weight of each term and its value for each sample, shape (N,).
    logits : Symbol, shape (N, n), optional
        Class logits, if the loss has any.
    centres : Symbol, shape (n, d), optional
        The class centres, if each class has exactly one.
    monitored : mapping of str to Symbol
        Values for the log, each of shape (N,), from a head that does not expose its logits.
    """

    terms: Dict[str, Tuple[float, Symbol]]
    logits: Optional[Symbol] = None
    centres: Optional[Symbol] = None
    monitored: Mapping[str, Symbol] = field(default_factory=dict)


class ExtraTerms(NamedTuple):
    """Weights of the terms that are added to a classification loss."""

    intra: float = 0.0
    inter: float = 0.0
    triplet: float = 0.0
    triplet_margin: float = 0.35
    mining: str = "semi_hard"


@dataclass(frozen=True)
class Loss(ABC):
    """Base class of all losses. A subclass is a frozen dataclass whose fields are its settings.

    A subclass defines `name`, `summary` and `build`, and overrides what differs from the defaults
    here. It is registered in `arcface_mx/losses/__init__.py`. Flags, range checks, `config.json`
    and the row of a table are derived from the fields.
    """

    name: ClassVar[str] = ""
    summary: ClassVar[str] = ""
    has_native: ClassVar[bool] = False  # whether `build` can use the compiled operator
    centres_per_class: ClassVar[int] = 0
    distance: ClassVar[str] = ""  # distance by which a bag of triplets is mined (reader/mining.py)

    def __post_init__(self) -> None:
        check_settings(self)

    @abstractmethod
    def build(self, inputs: LossInputs) -> LossGraph:
        """Return the graph of the loss.

        Parameters
        ----------
        inputs : LossInputs

        Returns
        -------
        LossGraph
        """

    @property
    def needs_tuples(self) -> bool:
        """Whether a batch must hold several images of each identity."""
        return self.centres_per_class == 0

    @property
    def extra_terms(self) -> ExtraTerms:
        """The terms added to the classification loss."""
        return ExtraTerms()

    @property
    def scheduled_names(self) -> Tuple[str, ...]:
        """Names of the graph inputs whose value changes from step to step."""
        return ()

    def scheduled(self, step: int, steps: int, factor: float = 1.0) -> Dict[str, float]:
        """Return the value of each scheduled input at an update.

        Parameters
        ----------
        step : int
            Number of the update, from 0.
        steps : int
            Length of the run in updates.
        factor : float
            Images a step, divided by `schedule_batch`.

        Returns
        -------
        dict of str to float
            One value for each of `scheduled_names`.
        """
        return {}

    @property
    def last_angle(self) -> float:
        """Target angle in radians beyond which the margin pulls the wrong way; π if there is none."""
        return math.pi

    @property
    def bag_size(self) -> int:
        """Number of batches from which each training batch is mined."""
        return getattr(self, "bag", 1)

    @property
    def mining_rule(self) -> Tuple[str, float, str]:
        """Distance, margin and mining by which a bag is mined (`reader/mining.py`).

        Only losses with a `distance` define it, and only these have a bag.
        """
        raise NotImplementedError(f"{type(self).__name__} has no triplets")

    def expected_first_loss(self, num_classes: int, embedding_size: int) -> Optional[float]:
        """Return the loss before the first update, or None if it is not known.

        Parameters
        ----------
        num_classes : int
        embedding_size : int

        Returns
        -------
        float or None

        Notes
        -----
        Embeddings and class centres are taken as random directions (`first_loss.py`).
        """
        return None

    def settings(self) -> Dict[str, Setting]:
        """Return the values of all fields by name.

        Returns
        -------
        dict
        """
        return dataclasses.asdict(self)


def bag_setting() -> Any:
    """Size of the bag for losses that mine triplets."""
    return setting(
        1,
        "number of batches from which each training batch is mined: its hardest triplets; random ones with facenet",
        1,
        1024,
        common=True,
    )


def mining_setting() -> Any:
    """How triplets are chosen inside a batch."""
    return setting("semi_hard", "which triplets of a batch count", choices=TRIPLET_MINING, common=True)


def scale_floor(num_classes: int) -> float:
    """Return the smallest sensible scale for n classes, √2·ln(n − 1) (AdaCos, Zhang et al., CVPR 2019)."""
    return math.sqrt(2.0) * math.log(max(2, num_classes - 1))


@dataclass(frozen=True)
class ClassificationLoss(Loss):
    """A loss with class logits and class centres."""

    centres_per_class: ClassVar[int] = 1

    sample_rate: float = setting(
        1.0, "share of the class centres that take part in a step, with --parallel centres", 1e-6, 1.0, common=True
    )

    def first_head_loss(self, num_classes: int, embedding_size: int) -> Optional[float]:
        """Return the cross entropy before the first update, without extra terms; None if it is not known."""
        return None

    def expected_first_loss(self, num_classes: int, embedding_size: int) -> Optional[float]:
        return self.first_head_loss(num_classes, embedding_size)

    @abstractmethod
    def head_graph(self, inputs: LossInputs) -> LossGraph:
        """Return the graph of the cross entropy alone, without extra terms.

        Parameters
        ----------
        inputs : LossInputs

        Returns
        -------
        LossGraph
        """

    def build(self, inputs: LossInputs) -> LossGraph:
        return self.head_graph(inputs)


@dataclass(frozen=True)
class LossWithTerms(ClassificationLoss):
    """A classification loss to which intra-, inter- and triplet terms can be added."""

    distance: ClassVar[str] = "angle"

    intra_weight: float = setting(0.0, "weight of the intra-loss, eq. 5", 0.0, 1e6)
    inter_weight: float = setting(0.0, "weight of the inter-loss, eq. 6", 0.0, 1e6)
    triplet_weight: float = setting(0.0, "weight of the angular triplet loss", 0.0, 1e6)
    triplet_margin: float = setting(0.35, "margin of the triplet term, radians", 1e-6, 4.0)
    mining: str = mining_setting()
    bag: int = bag_setting()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.inter_weight and self.sample_rate < 1.0:
            raise UserError("`inter_weight` sums over all class centres, so `sample_rate` must be 1")

    @property
    def needs_tuples(self) -> bool:
        return self.triplet_weight > 0.0

    @property
    def extra_terms(self) -> ExtraTerms:
        return ExtraTerms(self.intra_weight, self.inter_weight, self.triplet_weight, self.triplet_margin, self.mining)

    @property
    def mining_rule(self) -> Tuple[str, float, str]:
        return self.distance, self.triplet_margin, self.mining

    def expected_first_loss(self, num_classes: int, embedding_size: int) -> Optional[float]:
        # All angles are near 90°, so eq. 5 is 1/2, eq. 6 is −1/2, and a triplet costs its margin.
        terms = 0.5 * self.intra_weight - 0.5 * self.inter_weight + self.triplet_margin * self.triplet_weight
        head = self.first_head_loss(num_classes, embedding_size)
        return None if head is None else head + terms

    def build(self, inputs: LossInputs) -> LossGraph:
        from arcface_mx import symbols

        graph = self.head_graph(inputs)
        terms = dict(graph.terms)
        if self.intra_weight:
            terms["intra"] = (self.intra_weight, symbols.intra_loss(inputs.embedding, inputs.label, graph.centres))
        if self.inter_weight:
            terms["inter"] = (self.inter_weight, symbols.inter_loss(inputs.label, graph.centres, inputs.num_classes))
        if self.triplet_weight:
            triplet = symbols.angular_triplet_loss(
                inputs.embedding, inputs.label, margin=self.triplet_margin, mining=self.mining
            )
            terms["triplet"] = (self.triplet_weight, triplet)
        return dataclasses.replace(graph, terms=terms)


@dataclass(frozen=True)
class ScaledMargin:
    """What losses with a feature scale and a margin share: both settings and the ramp of the margin."""

    scale: float = setting(64.0, SCALE_HELP, *SCALE_RANGE, common=True)
    margin_ramp: float = setting(
        0.0, "share of the run over which the margin grows from 0 to its value", 0.0, 1.0, common=True
    )

    @property
    def scheduled_names(self) -> Tuple[str, ...]:
        return ("margin_ramp",) if self.margin_ramp > 0.0 else ()

    def scheduled(self, step: int, steps: int, factor: float = 1.0) -> Dict[str, float]:
        ramp = round(self.margin_ramp * steps)
        return {"margin_ramp": 1.0 if step >= ramp else step / ramp}

    def margin_at_start(self, margin: float) -> float:
        """Return a margin as the first update sees it."""
        return 0.0 if self.margin_ramp else margin


def cross_entropy_graph(logits: Symbol, label: Symbol, centres: Optional[Symbol]) -> LossGraph:
    """Return the graph of a cross entropy over class logits."""
    from arcface_mx import symbols

    return LossGraph({"cross_entropy": (1.0, symbols.cross_entropy(logits, label))}, logits, centres)


def native_graph(inputs: LossInputs, centres: Symbol, **margins: Any) -> LossGraph:
    """Return margin and cross entropy in one compiled operator (`symbols/fast_margin.py`)."""
    from arcface_mx import symbols

    outputs = symbols.margin_cross_entropy(
        inputs.embedding, inputs.label, inputs.num_classes, weight=centres, **margins
    )
    return LossGraph({"cross_entropy": (1.0, outputs.pop("cross_entropy"))}, centres=centres, monitored=outputs)
