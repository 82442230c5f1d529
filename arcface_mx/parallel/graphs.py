"""The graphs of centre-parallel training: what each device computes, and what joins the devices.

A device sees all N embeddings and its own classes. From the head's logits L over those it reports,
per sample, cross entropy c = lse(L) − L_y and target logit t = L_y, so lse(L) = c + t. Over devices

    loss = lse_k(c_k + t_k) − Σ_k inside_k·t_k

with inside_k = 1 on the device that holds the sample's class (elsewhere y is any class there, and
cancels). Only such (N,) rows pass between devices, forward; backward their gradients. The head is
the one of losses.py, unchanged: a label that a device does not hold is −1, which has no one-hot.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Dict, Mapping, Tuple

from arcface_mx.config import LossConfig
from arcface_mx.losses import losses
from arcface_mx.losses.training_graph import loss_outputs, target_cosine_row
from arcface_mx.util.errors import UserError

Symbol = Any


@dataclass(frozen=True)
class ShardGraph:
    """One device's graph: (K, N), a row for each name in `rows`.

    Inputs: "embedding" (N, d), "label" (N,) local, the scheduled scalars (N,), and "own_centre"
    (N, d) where `needs_own`. Everything else is a parameter with rows by class.
    """

    symbol: Symbol
    classes: int
    rows: Tuple[str, ...]
    terms: LossConfig  # the loss; without terms on centres where a class has not just one
    needs_own: bool
    parameters: Mapping[str, Tuple[int, ...]]  # shapes on this device


def shard_graph(config: LossConfig, classes: int, images: int, width: int, scheduled: Tuple[str, ...]) -> ShardGraph:
    """The graph of a device with `classes` classes, for `images` embeddings (N, width).

    Raises UserError where the loss has no class logits to split.
    """
    import mxnet as mx

    from arcface_mx import symbols

    if config.inter_weight and config.sample_rate < 1.0:
        raise UserError("--inter-weight sums over all centres; give --sample-rate 1")
    x = mx.sym.Variable("embedding", shape=(images, width))
    label = mx.sym.Variable("label", shape=(images,))
    scalars = {name: mx.sym.Variable(name, shape=(images,)) for name in scheduled}
    plain = replace(config, intra_weight=0.0, inter_weight=0.0, triplet_weight=0.0, head="graph")
    head = losses.find(config.loss).build(x, label, classes, plain, scalars)
    if set(head.terms) != {"cross_entropy"} or head.logits is None:
        raise UserError(
            f"--parallel centres splits class centres, and --loss {config.loss} has none; use --parallel data"
        )

    rows: Dict[str, Symbol] = {
        "cross_entropy": head.terms["cross_entropy"][1],
        "target_logit": mx.sym.pick(head.logits, label, axis=1),
        "target_cosine": target_cosine_row(head, x, label),
        "highest": mx.sym.BlockGrad(mx.sym.max(symbols.margin_free_logits(head.logits), axis=1)),
        "correct": symbols.correct_without_margin(head.logits, label),
    }
    terms = plain if head.centres is None else config
    if terms.intra_weight:
        rows["intra"] = symbols.intra_loss(x, label, head.centres)
    if terms.inter_weight:
        own = mx.sym.Variable("own_centre", shape=(images, width))
        rows["arcsines"] = symbols.arcsines(own, label, head.centres, classes)
    symbol = mx.sym.stack(*rows.values(), axis=0)
    inputs = {"embedding", "label", "own_centre", *scheduled}
    shapes = zip(symbol.list_arguments(), symbol.infer_shape()[0])
    parameters = {name: shape for name, shape in shapes if name not in inputs}
    for name, shape in parameters.items():
        if shape[0] % classes:
            raise UserError(f"--parallel centres: --loss {config.loss} has {name} {shape}, which has no rows by class")
    return ShardGraph(symbol, classes, tuple(rows), terms, "arcsines" in rows, parameters)


def own_graph() -> Symbol:
    """W_y (N, d) of the samples whose class the device holds, zeros for the others: sums give all."""
    import mxnet as mx

    taken = mx.sym.take(mx.sym.Variable(losses.CENTRES), mx.sym.Variable("label"), axis=0)
    return mx.sym.broadcast_mul(taken, mx.sym.expand_dims(mx.sym.Variable("inside"), axis=1))


@dataclass(frozen=True)
class CombinedGraph:
    """Joins the devices' reports: a Group of (N,), the loss first, as TrainingGraph's.

    Inputs: "reports" (D, K, N), "inside" (D, N), and for a triplet term "embedding" (N, d) and
    "person" (N,), any numbering of the batch's people.
    """

    symbol: Symbol
    outputs: Tuple[str, ...]
    needs_embedding: bool


def joint_graph(
    config: LossConfig, rows: Tuple[str, ...], num_classes: int, scale: float = 1.0, across: bool = False
) -> CombinedGraph:
    """The loss of the whole batch over all classes, from what the devices report; its gradient times `scale`.

    across: other processes hold classes too. "reports" and "inside" are then of this process's devices,
    and the input "totals" (R, N) brings the sums over all of them, a row for each of `summed_rows`.
    """
    import mxnet as mx

    from arcface_mx import symbols

    joined = _joined_rows(config, rows)
    if across:
        totals = mx.sym.Variable("totals")
        for number, name in enumerate(summed_rows(config)):
            joined[name] = _with_total(name, joined[name], _row(totals, number, axis=0))
    terms = {"cross_entropy": (1.0, joined["log_sum_exp"] - joined["target_logit"])}
    if config.intra_weight:
        terms["intra"] = (config.intra_weight, joined["intra"])
    if config.inter_weight:
        pairs = num_classes - 1
        total = joined["arcsines"] - pairs * math.pi / 2.0
        terms["inter"] = (config.inter_weight, total / (math.pi * max(pairs, 1)))
    if config.triplet_weight:
        x, person = mx.sym.Variable("embedding"), mx.sym.Variable("person")
        margin, mining = config.triplet_margin, config.mining
        terms["triplet"] = (
            config.triplet_weight,
            symbols.angular_triplet_loss(x, person, margin=margin, mining=mining),
        )
    outputs = loss_outputs(terms, scale)
    outputs["target_cosine"] = mx.sym.BlockGrad(joined["target_cosine"])
    outputs["correct"] = mx.sym.BlockGrad(joined["correct"])
    return CombinedGraph(mx.sym.Group(list(outputs.values())), tuple(outputs), "triplet" in terms)


def summed_rows(config: LossConfig) -> Tuple[str, ...]:
    """Names of the rows that processes must know of each other."""
    terms = [name for name, weight in (("intra", config.intra_weight), ("arcsines", config.inter_weight)) if weight]
    return ("log_sum_exp", "target_logit", *terms, "target_cosine", "correct")


def partial_graph(config: LossConfig, rows: Tuple[str, ...]) -> Symbol:
    """What one process tells the others, (1 + R, N): the highest logit, then its own part of each of `summed_rows`.

    Inputs: "reports" and "inside" of its devices.
    """
    import mxnet as mx

    joined = _joined_rows(config, rows)
    return mx.sym.stack(joined["highest"], *[joined[name] for name in summed_rows(config)], axis=0)


def _joined_rows(config: LossConfig, rows: Tuple[str, ...]) -> Dict[str, Symbol]:
    """Each (N,), over the devices whose reports there are."""
    import mxnet as mx

    reports, inside = mx.sym.Variable("reports"), mx.sym.Variable("inside")
    row = {name: _row(reports, number) for number, name in enumerate(rows)}
    joined = {
        "log_sum_exp": _log_sum_exp(row["cross_entropy"] + row["target_logit"]),
        "target_logit": mx.sym.sum(inside * row["target_logit"], axis=0),
        "target_cosine": mx.sym.sum(inside * row["target_cosine"], axis=0),
        "highest": mx.sym.max(row["highest"], axis=0),
        "correct": mx.sym.pick(row["correct"], mx.sym.argmax(row["highest"], axis=0), axis=0),
    }
    if config.intra_weight:
        joined["intra"] = mx.sym.sum(inside * row["intra"], axis=0)
    if config.inter_weight:
        joined["arcsines"] = mx.sym.sum(row["arcsines"], axis=0)
    return joined


def _with_total(name: str, own: Symbol, total: Symbol) -> Symbol:
    """`total` (N,), with the gradient that it has by `own`, this process's part of it.

    Of a sum that is 1; of log Σ exp it is exp(own − total), this process's share of the softmax.
    """
    import mxnet as mx

    if name == "log_sum_exp":
        own = own * mx.sym.BlockGrad(mx.sym.exp(own - total))
    return own + mx.sym.BlockGrad(total - own)


def _row(reports: Symbol, number: int, axis: int = 1) -> Symbol:
    import mxnet as mx

    return mx.sym.squeeze(mx.sym.slice_axis(reports, axis=axis, begin=number, end=number + 1), axis=axis)


def _log_sum_exp(values: Symbol) -> Symbol:
    """log Σ_k exp(values[k]) over the first axis; the maximum is taken out first."""
    import mxnet as mx

    highest = mx.sym.BlockGrad(mx.sym.max(values, axis=0))
    lowered = mx.sym.exp(mx.sym.broadcast_sub(values, mx.sym.expand_dims(highest, axis=0)))
    return mx.sym.log(mx.sym.sum(lowered, axis=0)) + highest
