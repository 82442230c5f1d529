"""The training graph: backbone, loss, and what the log reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Dict, Mapping, Tuple

from arcface_mx.losses.base import Loss, LossGraph, LossInputs
from arcface_mx.util.errors import UserError

if TYPE_CHECKING:
    from mxnet.symbol import Symbol


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
    gradient_scale : float
        Factor on all gradients, by which the update divides again.
    """

    symbol: Symbol
    outputs: Tuple[str, ...]
    scheduled: Tuple[str, ...]
    num_classes: int
    gradient_scale: float = 1.0


def training_graph(
    embedding: Symbol, loss: Loss, num_classes: int, native: bool = False, gradient_scale: float = 1.0
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
    gradient_scale : float
        Factor on the gradient, which keeps half precision from underflow.
    """
    import mxnet as mx

    from arcface_mx import symbols

    label = mx.sym.Variable("label")
    scalars = {name: mx.sym.Variable(name) for name in loss.scheduled_names}
    graph = loss.build(LossInputs(embedding, label, num_classes, scalars, native))
    outputs = loss_outputs(graph.terms, gradient_scale)
    if graph.monitored:
        outputs.update(graph.monitored)
    elif graph.logits is not None:
        outputs["target_cosine"] = target_cosine(graph, embedding, label)
        outputs["correct"] = symbols.correct_without_margin(graph.logits, label)
    group = mx.sym.Group(list(outputs.values()))
    return TrainingGraph(group, tuple(outputs), loss.scheduled_names, num_classes, gradient_scale)


def loss_outputs(terms: Mapping[str, Tuple[float, Symbol]], gradient_scale: float = 1.0) -> Dict[str, Symbol]:
    """Return the weighted sum of the terms as "loss" and, if there are several, each term by its name."""
    import mxnet as mx

    total = None
    for weight, term in terms.values():
        weighted = term if weight == 1.0 else term * weight
        total = weighted if total is None else total + weighted
    outputs: Dict[str, Symbol] = {"loss": mx.sym.MakeLoss(total, name="loss", grad_scale=gradient_scale)}
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
