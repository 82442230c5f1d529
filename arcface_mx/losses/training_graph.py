"""The training graph of a configuration: backbone, loss, and what the log reads."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Dict, Mapping, Tuple

from arcface_mx.config import TrainConfig
from arcface_mx.losses import losses
from arcface_mx.model.backbone import embedding_symbol
from arcface_mx.util.errors import UserError

Symbol = Any


@dataclass(frozen=True)
class TrainingGraph:
    """A Group whose first output is the loss to minimise (N,), then what the log reads, each (N,)."""

    symbol: Symbol
    outputs: Tuple[str, ...]  # names, in the Group's order
    scheduled: Tuple[str, ...]  # inputs (N,) fed by the trainer, beside data and label
    num_classes: int = 0


def training_graph(config: TrainConfig, num_classes: int) -> TrainingGraph:
    """Backbone and loss, ready to bind. Raises UserError on an unknown network or loss."""
    import mxnet as mx

    from arcface_mx import symbols

    loss = losses.find(config.loss.loss)
    label = mx.sym.Variable("label")
    names = scheduled_names(config)
    scheduled = {name: mx.sym.Variable(name) for name in names}
    embedding = embedding_symbol(config, training=True)
    losses.options(config.loss)  # refuses those that this loss does not have
    try:
        graph = loss.build(embedding, label, num_classes, replace(config.loss, head=chosen_head(config)), scheduled)
    except ValueError as error:
        raise UserError(f"--loss {config.loss.loss}: {error}")

    outputs = loss_outputs(graph.terms, gradient_scale(config))
    if graph.monitored:
        outputs.update(graph.monitored)
    elif graph.logits is not None:
        outputs["target_cosine"] = target_cosine_row(graph, embedding, label)
        outputs["correct"] = symbols.correct_without_margin(graph.logits, label)
    return TrainingGraph(mx.sym.Group(list(outputs.values())), tuple(outputs), names, num_classes)


def gradient_scale(config: TrainConfig) -> float:
    """By what all gradients are multiplied, and the update divided: --loss-scale keeps half precision from underflow."""
    return config.optimizer.loss_scale if config.network.dtype == "float16" else 1.0


def loss_outputs(terms: Mapping[str, Tuple[float, Symbol]], scale: float = 1.0) -> Dict[str, Symbol]:
    """The weighted sum of the terms as "loss", its gradient times `scale`, and each term by its name where there are several."""
    import mxnet as mx

    total = None
    for weight, term in terms.values():
        weighted = term if weight == 1.0 else term * weight
        total = weighted if total is None else total + weighted
    outputs: Dict[str, Symbol] = {"loss": mx.sym.MakeLoss(total, name="loss", grad_scale=scale)}
    if len(terms) > 1:
        outputs.update({name: mx.sym.BlockGrad(term, name=name) for name, (_, term) in terms.items()})
    return outputs


def target_cosine_row(graph: losses.LossGraph, embedding: Symbol, label: Symbol) -> Symbol:
    """cos θ_y (N,) for the log, of a loss with class logits."""
    import mxnet as mx

    from arcface_mx import symbols

    if graph.centres is not None:
        return symbols.target_cosine(embedding, label, graph.centres)
    return mx.sym.BlockGrad(graph.logits.get_internals()["target_cosine_output"])  # type: ignore[union-attr]


def scheduled_names(config: TrainConfig) -> Tuple[str, ...]:
    """Names of the scalars that change during this training."""
    return tuple(
        name
        for name in losses.find(config.loss.loss).scheduled
        if name != "margin_ramp" or config.loss.margin_ramp > 0.0
    )


def chosen_head(config: TrainConfig) -> str:
    """ "native" or "graph": what --head asks for and this loss and machine have.

    Raises UserError where "native" was asked for and cannot be had.
    """
    if config.loss.head == "graph":
        return "graph"
    reason = _no_native_head(config)
    if reason and config.loss.head == "native":
        raise UserError(f"--head native: {reason}")
    return "graph" if reason else "native"


def _no_native_head(config: TrainConfig) -> str:
    from arcface_mx.native import library

    if not losses.find(config.loss.loss).native:
        return f"the loss {config.loss.loss} has no compiled head"
    if config.loss.literal:
        return "--literal is Algorithm 1's own operators"
    if config.run.parallel == "centres":
        return "--parallel centres splits the logits that it never forms"
    if config.network.dtype == "float16":
        return "it computes in float32"
    if config.optimizer.accumulate > 1:
        return "MXNet lets compiled operators write gradients, and --accumulate adds them"
    if "gpu" in config.run.devices:
        return f"it runs on the CPU, not on {config.run.devices}"
    return library.unavailable()
