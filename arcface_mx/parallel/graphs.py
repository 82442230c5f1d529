"""The graphs of centre-parallel training: what each device computes, and what combines the devices.

A device sees all N embeddings and its own classes. Its shard graph runs the loss's head over those
classes. From the logits L it reports for each sample the cross entropy c = lse(L) − L_y and the target
logit t = L_y, so that lse(L) = c + t. The loss over all devices is

    loss = lse_k(c_k + t_k) − Σ_k inside_k·t_k

where inside_k is 1 on the device that holds the class of the sample and 0 elsewhere. On the other
devices the label is −1, which has no one-hot, and c + t does not depend on it. Only rows of N numbers
pass between devices: forward the reports, backward their gradients.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Dict, Mapping, Tuple

from arcface_mx.losses.base import CENTRES, ClassificationLoss, ExtraTerms, Loss, LossGraph, LossInputs
from arcface_mx.losses.graph import loss_outputs, target_cosine
from arcface_mx.util.errors import UserError

if TYPE_CHECKING:
    from mxnet.symbol import Symbol


@dataclass(frozen=True)
class ShardGraph:
    """The graph of one device: a report of shape (K, N), with a row for each name in `rows`.

    Its inputs are "embedding" (N, d), "label" (N,), local, the scheduled scalars (N,), and
    "own_centre" (N, d) if `needs_own_centre`. All other arguments are parameters with rows by class.

    Attributes
    ----------
    symbol : Symbol
    classes : int
        Number of classes on the device.
    rows : tuple of str
    terms : ExtraTerms
        Terms added to the cross entropy.
    needs_own_centre : bool
    parameters : mapping of str to tuple of int
        Shapes of the parameters on the device.
    """

    symbol: Symbol
    classes: int
    rows: Tuple[str, ...]
    terms: ExtraTerms
    needs_own_centre: bool
    parameters: Mapping[str, Tuple[int, ...]]


def shard_graph(loss: Loss, classes: int, images: int, width: int) -> ShardGraph:
    """Return the graph of a device.

    Parameters
    ----------
    loss : Loss
    classes : int
        Number of classes on the device.
    images : int
        N, images of the whole batch.
    width : int
        d, size of the embedding.

    Raises
    ------
    UserError
        If the loss has no class centres to split.
    """
    import mxnet as mx

    from arcface_mx import symbols

    if not isinstance(loss, ClassificationLoss):
        raise UserError(
            f"`parallel` centres splits class centres, and the loss {loss.name} has none; use `parallel` data"
        )
    x = mx.sym.Variable("embedding", shape=(images, width))
    label = mx.sym.Variable("label", shape=(images,))
    scalars = {name: mx.sym.Variable(name, shape=(images,)) for name in loss.scheduled_names}
    head = loss.head_graph(LossInputs(x, label, classes, scalars))
    rows = _report_rows(head, x, label)
    terms = loss.extra_terms
    if terms.intra:
        rows["intra"] = symbols.intra_loss(x, label, head.centres)
    if terms.inter:
        own_centre = mx.sym.Variable("own_centre", shape=(images, width))
        rows["arcsines"] = symbols.arcsines(own_centre, label, head.centres, classes)
    symbol = mx.sym.stack(*rows.values(), axis=0)
    inputs = {"embedding", "label", "own_centre", *scalars}
    shapes = zip(symbol.list_arguments(), symbol.infer_shape()[0])
    parameters = {name: shape for name, shape in shapes if name not in inputs}
    for name, shape in parameters.items():
        if shape[0] % classes:
            raise UserError(f"`parallel` centres: {name} {shape} of the loss {loss.name} has no rows by class")
    return ShardGraph(symbol, classes, tuple(rows), terms, "arcsines" in rows, parameters)


def _report_rows(head: LossGraph, embedding: Symbol, label: Symbol) -> Dict[str, Symbol]:
    """Return the rows of a report that every loss has."""
    import mxnet as mx

    from arcface_mx import symbols

    plain = mx.sym.BlockGrad(symbols.margin_free_logits(head.logits))
    return {
        "cross_entropy": head.terms["cross_entropy"][1],
        "target_logit": mx.sym.pick(head.logits, label, axis=1),
        "target_cosine": target_cosine(head, embedding, label),
        "plain_target": mx.sym.pick(plain, label, axis=1),
        "highest": mx.sym.max(plain, axis=1),
    }


def own_centre_graph(shape: Tuple[int, ...]) -> Symbol:
    """Return W_y, shape (N, d), of the samples whose class the device holds, and zeros for the others.

    `shape` is that of the device's centres. The sum over the devices holds the centres of all samples.
    """
    import mxnet as mx

    from arcface_mx.symbols.centres import own_centres

    taken = own_centres(mx.sym.Variable(CENTRES, shape=shape), mx.sym.Variable("label"))
    return mx.sym.broadcast_mul(taken, mx.sym.expand_dims(mx.sym.Variable("inside"), axis=1))


@dataclass(frozen=True)
class CombinedGraph:
    """The loss of the whole batch from the reports: a Group of outputs (N,), the loss first.

    Its inputs are "reports" (D, K, N), "inside" (D, N), and for a triplet term "embedding" (N, d) and
    "identity" (N,), any numbering of the identities of the batch.
    """

    symbol: Symbol
    outputs: Tuple[str, ...]
    needs_embedding: bool


def combined_graph(
    terms: ExtraTerms,
    rows: Tuple[str, ...],
    num_classes: int,
    scaled: bool = False,
    across_processes: bool = False,
) -> CombinedGraph:
    """Return the graph that combines the reports of all devices.

    Parameters
    ----------
    terms : ExtraTerms
    rows : tuple of str
        Rows of a report.
    num_classes : int
        n, over all devices.
    scaled : bool
        Add the input LOSS_SCALE, shape (1,), by which all gradients are multiplied.
    across_processes : bool
        Whether other processes hold classes too. "reports" and "inside" are then those of this
        process's devices, and the input "totals" (R, N) holds the sums over all processes, with a row
        for each of `summed_rows`.
    """
    import mxnet as mx

    from arcface_mx import symbols

    combined = _combined_rows(terms, rows)
    if across_processes:
        totals = mx.sym.Variable("totals")
        for number, name in enumerate(summed_rows(terms)):
            combined[name] = _with_total(name, combined[name], _row(totals, number, axis=0))
    weighted = {"cross_entropy": (1.0, combined["log_sum_exp"] - combined["target_logit"])}
    if terms.intra:
        weighted["intra"] = (terms.intra, combined["intra"])
    if terms.inter:
        pairs = num_classes - 1
        total = combined["arcsines"] - pairs * math.pi / 2.0
        weighted["inter"] = (terms.inter, total / (math.pi * max(pairs, 1)))
    if terms.triplet:
        embedding, identity = mx.sym.Variable("embedding"), mx.sym.Variable("identity")
        triplet = symbols.angular_triplet_loss(embedding, identity, margin=terms.triplet_margin, mining=terms.mining)
        weighted["triplet"] = (terms.triplet, triplet)
    outputs = loss_outputs(weighted, scaled)
    outputs.update({name: combined[name] for name in ("target_cosine", "correct")})
    return CombinedGraph(mx.sym.Group(list(outputs.values())), tuple(outputs), bool(terms.triplet))


def summed_rows(terms: ExtraTerms) -> Tuple[str, ...]:
    """Return the names of the rows that processes exchange."""
    extra = [name for name, weight in (("intra", terms.intra), ("arcsines", terms.inter)) if weight]
    return ("log_sum_exp", "target_logit", *extra, "target_cosine", "correct")


def partial_graph(terms: ExtraTerms, rows: Tuple[str, ...]) -> Symbol:
    """Return what one process sends to the others, shape (1 + R, N).

    The first row is the highest logit; the others are this process's part of each of `summed_rows`.
    Inputs: "reports" and "inside" of its devices.
    """
    import mxnet as mx

    combined = _combined_rows(terms, rows)
    return mx.sym.stack(combined["highest"], *[combined[name] for name in summed_rows(terms)], axis=0)


def _combined_rows(terms: ExtraTerms, rows: Tuple[str, ...]) -> Dict[str, Symbol]:
    """Return rows of shape (N,) over the devices whose reports are there."""
    import mxnet as mx

    reports, inside = mx.sym.Variable("reports"), mx.sym.Variable("inside")
    row = {name: _row(reports, number) for number, name in enumerate(rows)}
    highest = mx.sym.max(mx.sym.BlockGrad(row["highest"]), axis=0)
    # On a device without the class of a sample, `plain_target` is the logit of another class.
    correct = mx.sym.broadcast_greater_equal(mx.sym.BlockGrad(row["plain_target"]), mx.sym.expand_dims(highest, axis=0))
    combined = {
        "log_sum_exp": _log_sum_exp(row["cross_entropy"] + row["target_logit"]),
        "target_logit": mx.sym.sum(inside * row["target_logit"], axis=0),
        "target_cosine": mx.sym.sum(inside * mx.sym.BlockGrad(row["target_cosine"]), axis=0),
        "highest": highest,
        "correct": mx.sym.sum(inside * correct, axis=0),
    }
    if terms.intra:
        combined["intra"] = mx.sym.sum(inside * row["intra"], axis=0)
    if terms.inter:
        combined["arcsines"] = mx.sym.sum(row["arcsines"], axis=0)
    return combined


def _with_total(name: str, partial: Symbol, total: Symbol) -> Symbol:
    """Return `total`, shape (N,), with its gradient by `partial`, this process's part of it.

    The gradient is 1 for a sum. For log Σ exp it is exp(partial − total), the share of this process
    in the softmax.
    """
    import mxnet as mx

    if name == "log_sum_exp":
        partial = partial * mx.sym.BlockGrad(mx.sym.exp(partial - total))
    return partial + mx.sym.BlockGrad(total - partial)


def _row(reports: Symbol, number: int, axis: int = 1) -> Symbol:
    import mxnet as mx

    return mx.sym.squeeze(mx.sym.slice_axis(reports, axis=axis, begin=number, end=number + 1), axis=axis)


def _log_sum_exp(values: Symbol) -> Symbol:
    """Return log Σ_k exp(values[k]) over the first axis. The maximum is subtracted first."""
    import mxnet as mx

    highest = mx.sym.BlockGrad(mx.sym.max(values, axis=0))
    lowered = mx.sym.exp(mx.sym.broadcast_sub(values, mx.sym.expand_dims(highest, axis=0)))
    return mx.sym.log(mx.sym.sum(lowered, axis=0)) + highest
