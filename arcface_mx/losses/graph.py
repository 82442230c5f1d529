"""The training graph: backbone, loss, and what the log reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Dict, Mapping, Tuple

from arcface_mx.losses.base import Loss, LossGraph, LossInputs
from arcface_mx.util.errors import UserError

if TYPE_CHECKING:
    from mxnet.symbol import Symbol


LOSS_SCALE = "loss_scale"  # the input that multiplies gradients


@dataclass(frozen=True)
class TrainingGraph:
    """A Group whose first output is the loss to minimise, then what the log reads, each of shape (N,).

    Attributes
    ----------
    symbol : Symbol
    outputs : tuple of str
        Names of the outputs in the Group's order.
    scheduled : tuple of str
        Inputs of shape (N,) that the trainer feeds beside data and label.
    num_classes : int
    scaled : bool
        Whether the last of these inputs is LOSS_SCALE, the factor on each sample's gradient.
    """

    symbol: Symbol
    outputs: Tuple[str, ...]
    scheduled: Tuple[str, ...]
    num_classes: int
    scaled: bool = False


def training_graph(
    embedding: Symbol, loss: Loss, num_classes: int, native: bool = False, scaled: bool = False
) -> TrainingGraph:
    """Return the graph of `loss` on top of an embedding, ready to bind.

    Parameters
    ----------
    embedding : Symbol, shape (N, d)
        The backbone of the input "data".
    loss : Loss
    num_classes : int
    native : bool
        Use the loss's compiled operator.
    scaled : bool
        Add the input LOSS_SCALE, shape (N,), by which each sample's gradient is multiplied.
    """
    import mxnet as mx

    from arcface_mx import symbols

    label = mx.sym.Variable("label")
    scalars = {name: mx.sym.Variable(name) for name in loss.scheduled_names}
    graph = loss.build(LossInputs(embedding, label, num_classes, scalars, native))
    outputs = loss_outputs(graph.terms, scaled)
    if graph.monitored:
        outputs.update(graph.monitored)
    elif graph.logits is not None:
        outputs["target_cosine"] = target_cosine(graph, embedding, label)
        outputs["correct"] = symbols.correct_without_margin(graph.logits, label)
    group = mx.sym.Group(list(outputs.values()))
    scheduled = (*loss.scheduled_names, *([LOSS_SCALE] if scaled else []))
    return TrainingGraph(group, tuple(outputs), scheduled, num_classes, scaled)


def loss_outputs(terms: Mapping[str, Tuple[float, Symbol]], scaled: bool = False) -> Dict[str, Symbol]:
    """Return the weighted sum of the terms as "loss" and, if there are several, each term by its name."""
    import mxnet as mx

    total = None
    for weight, term in terms.values():
        weighted = term if weight == 1.0 else term * weight
        total = weighted if total is None else total + weighted
    if scaled:  # the same value, whose gradient is LOSS_SCALE
        value = mx.sym.BlockGrad(total)
        total = value + mx.sym.broadcast_mul(total - value, mx.sym.Variable(LOSS_SCALE))
    outputs: Dict[str, Symbol] = {"loss": mx.sym.MakeLoss(total, name="loss")}
    if len(terms) > 1:
        outputs.update({name: mx.sym.BlockGrad(term, name=name) for name, (_, term) in terms.items()})
    return outputs


def target_cosine(graph: LossGraph, embedding: Symbol, label: Symbol) -> Symbol:
    """Return cos θ_y, shape (N,), for the log, of a loss with class logits."""
    import mxnet as mx

    from arcface_mx import symbols

    if graph.centres is not None:
        return symbols.target_cosine(embedding, label, graph.centres)
    assert graph.logits is not None
    return mx.sym.BlockGrad(graph.logits.get_internals()["target_cosine_output"])


def use_native(loss: Loss, obstacle: str) -> bool:
    """Return whether the run uses the loss's compiled operator.

    Parameters
    ----------
    loss : Loss
        Its setting `head` asks for "graph", "native" or "auto".
    obstacle : str
        Why the run cannot use it; empty if it can.

    Raises
    ------
    UserError
        If "native" is asked for and cannot be used.
    """
    asked = getattr(loss, "head", "graph")
    if asked == "graph":
        return False
    if getattr(loss, "literal", False):
        obstacle = "`literal` means Algorithm 1's own operators"
    if not obstacle:
        from arcface_mx.native import library

        obstacle = library.unavailable()
    if obstacle and asked == "native":
        raise UserError(f"`head` native: {obstacle}")
    return not obstacle
