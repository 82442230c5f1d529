"""Write a model for use elsewhere: MXNet files, ONNX, int8, calibration and model card."""

from __future__ import annotations

import dataclasses
import os
import shutil
from typing import List, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from arcface_mx.export.card import Card, write_card
from arcface_mx.export.int8 import cosine_parity, quantise, write_int8
from arcface_mx.export.parity import NUM_IMAGES, check_images, onnx_embeddings, parity
from arcface_mx.model.attributes import describe, with_attributes
from arcface_mx.model.embedder import Embedder, to_batch
from arcface_mx.model.engines import MxnetEngine, Network
from arcface_mx.model.load import load_model, locate, model_fingerprint, read_parameters
from arcface_mx.model.onnx_file import seal
from arcface_mx.model.save import save_model
from arcface_mx.train.folder import CONFIG, read_config
from arcface_mx.train.snapshot import LAST, find_step, load_snapshot, results_at
from arcface_mx.util.errors import UserError
from arcface_mx.util.files import atomic_write, refuse_unwritable
from arcface_mx.verify.calibrate import calibrate_model
from arcface_mx.verify.calibration_file import (
    StoredCalibration,
    calibration_path,
    read_calibration,
    write_calibration,
)

CALIBRATION_SHARE = 4  # int8: one image in four is for the comparison, the others are for the ranges


@dataclasses.dataclass(frozen=True)
class ExportOptions:
    """What to export.

    Parameters
    ----------
    fold : bool
        Fold BatchNorm into the neighbouring layers. The result cannot be trained further.
    onnx : bool
        Also write ``model.onnx``.
    int8 : bool
        Also write ``model-int8.onnx``, the form for the engine "int8".
    images : str, optional
        Images on which the forms are compared and from which int8 takes its ranges: a .bin file, a
        face set, a folder or a list. By default a run's own sets.
    calibrate : tuple of str
        Verification sets on which thresholds are measured. By default the source's own calibration
        is kept.
    step : str
        Checkpoint of a run: a number, "best" or "last". By default the last one.
    """

    fold: bool = False
    onnx: bool = False
    int8: bool = False
    images: Optional[str] = None
    calibrate: Tuple[str, ...] = ()
    step: str = ""


class _Sample(NamedTuple):
    """Images on which forms are compared, and others from which int8 takes its ranges."""

    compare: List[np.ndarray]
    ranges: List[np.ndarray]


class _Forms(NamedTuple):
    """The forms to write. `checks` are pairs (form, largest difference of unit embeddings)."""

    network: Network
    onnx: Optional[bytes]
    int8: Optional[bytes]
    cosines: Tuple[float, float]  # of int8: mean, lowest
    checks: Sequence[Tuple[str, float]]


def export_model(source: str, out: Optional[str], options: ExportOptions) -> List[str]:
    """Write the embedding network of a run or of a published model into a folder.

    Parameters
    ----------
    source : str
        A run folder, whose latest checkpoint is taken, or PREFIX,EPOCH.
    out : str or None
        The folder to write to; None is the run folder itself.
    options : ExportOptions

    Returns
    -------
    list of str
        Lines that say what was written and measured.

    Raises
    ------
    UserError
        If the input is bad or the embeddings of a form differ; nothing is written then.
    """
    is_run = _is_run(source)
    refuse_unwritable(os.path.join(out or source, "model-symbol.json"), "out", "folder")
    if options.step and out is None:
        raise UserError(f"`out` is missing: name a folder for step {options.step}; the run folder keeps the last step")
    network = load_snapshot(source, options.step or LAST) if is_run or options.step else load_model(source)
    if out is None and (options.fold or not is_run):
        raise UserError(f"`out` is missing: name a folder for the {'folded model' if options.fold else 'export'}")
    attributes = describe(network.input_size, network.embedding_size, aligned=is_run)
    sample = _sample(source if is_run else None, network, options)
    forms = _forms(network, sample, attributes, options)
    created = out is not None and not os.path.exists(out)
    try:
        return _write_export(source, out or source, options, network, forms, len(sample.compare), attributes)
    except BaseException:
        if created:  # a full disk leaves no half of an export
            shutil.rmtree(out or "", ignore_errors=True)
        raise


def _write_export(
    source: str,
    out: str,
    options: ExportOptions,
    network: Embedder,
    forms: _Forms,
    count: int,
    attributes: Mapping[str, str],
) -> List[str]:
    """Write the forms, the calibration and the card; return lines that say what was written and measured."""
    symbol, arg_params, aux_params = forms.network[:3]
    prefix = save_model(symbol, arg_params, aux_params, out)
    notes = "; ".join(network.notes) or network.name
    lines = [f"{prefix}-symbol.json, {prefix}-0000.params: {notes}"]
    if forms.onnx is not None:
        with atomic_write(prefix + ".onnx") as stream:
            stream.write(seal(forms.onnx))
        lines.append(f"{prefix}.onnx")
    if forms.int8 is not None:
        path, (mean, lowest) = write_int8(prefix, forms.int8, attributes), forms.cosines
        lines.append(f"{path}: cosine to the network's embedding {mean:.4f} (lowest {lowest:.4f}) on {count} images")
    for name, difference in forms.checks:
        lines.append(f"{name}: unit embeddings differ by at most {difference:.1e} on {count} images")
    calibration = _calibration(source, network, prefix + ",0", options)
    measured = results_at(source, find_step(source, options.step or LAST)) if _is_run(source) else []
    card = Card(source, _is_run(source), network, attributes, options.fold, forms.checks, count, calibration, measured)
    write_card(prefix + "-card.md", card)
    return lines + [f"{prefix}-card.md"]


def _is_run(source: str) -> bool:
    return os.path.exists(os.path.join(source, CONFIG)) or not _is_model(source)


def _is_model(source: str) -> bool:
    return not os.path.isdir(source) or os.path.exists(os.path.join(source, "model-symbol.json"))


def _sample(run: Optional[str], network: Embedder, options: ExportOptions) -> _Sample:
    """Read `options.images`, else images that the run was verified or, failing that, trained on."""
    if not (options.fold or options.onnx or options.int8):
        return _Sample([], [])
    source = options.images
    if source is None and run is not None:
        data = read_config(run).data
        source = next(filter(os.path.exists, tuple(data.eval) + (data.data,)), None)
    if source is None:
        raise UserError(
            "`images` is missing: name faces to compare the exported forms on (.bin, face set, folder or list)"
        )
    if not options.int8:
        return _Sample(check_images(source, network.input_size), [])
    images = check_images(source, network.input_size, NUM_IMAGES * CALIBRATION_SHARE)
    if len(images) < 2:
        raise UserError(
            f"`images` {source}: {len(images)} image is not enough for int8, which takes ranges from some images "
            "and is compared on others; give at least 2"
        )
    return _Sample(
        images[::CALIBRATION_SHARE], [image for number, image in enumerate(images) if number % CALIBRATION_SHARE]
    )


def _forms(network: Embedder, sample: _Sample, attributes: Mapping[str, str], options: ExportOptions) -> _Forms:
    """Make the forms and compare each with the network. Raises UserError where one differs."""
    form, data, int8, cosines = network.network, None, None, (0.0, 0.0)
    checks: List[Tuple[str, float]] = []
    # Embedders fold BatchNorm on CPUs; what the forms are compared with is the graph as it was trained.
    as_trained = Embedder(
        *form[:3],
        network.contexts,
        form.size,
        form.name,
        engine=lambda graph: MxnetEngine(graph, network.contexts, optimise=False),
    )
    expected = as_trained.embed(sample.compare)
    if options.fold:
        form = form.folded()
        embedder = Embedder(*form[:3], network.contexts, form.size, form.name)
        checks.append(("folded, MXNet", parity(expected, embedder.embed(sample.compare), "folded model")))
    if options.onnx:
        data, batch = form.to_onnx(attributes), to_batch(sample.compare)
        # The batch axis of the file is open: several images and one by one.
        by_size = [parity(expected, onnx_embeddings(data, batch, size), "ONNX model") for size in (len(batch), 1)]
        checks.append(("ONNX, ONNX Runtime", max(by_size)))
    if options.int8:
        int8 = quantise(form.folded().to_onnx({}), to_batch(sample.ranges))
        cosines = cosine_parity(expected, int8, to_batch(sample.compare))
    form = form._replace(symbol=with_attributes(form.symbol, form.image, dict(attributes)))
    return _Forms(form, data, int8, cosines, checks)


def _calibration(source: str, network: Embedder, exported: str, options: ExportOptions) -> Optional[StoredCalibration]:
    """Measure the calibration or carry over the source's, and write it beside the export."""
    if options.calibrate:
        calibration = calibrate_model(load_model(exported), exported, options.calibrate)
    else:
        stored = _stored_calibration(source, network)
        if stored is None:
            return None
        calibration = dataclasses.replace(stored, model=model_fingerprint(exported))
    write_calibration(calibration_path(exported), calibration)
    return calibration


def _stored_calibration(source: str, network: Embedder) -> Optional[StoredCalibration]:
    """Return the source's calibration, if it was measured with exactly the exported arrays."""
    if not _is_model(source) or not os.path.exists(calibration_path(source)):
        return None
    stored = read_parameters(locate(source)[1])[0]
    for name, value in network.params[0].items():
        if name not in stored or not np.array_equal(value.asnumpy(), stored[name].asnumpy()):
            return None
    try:
        return read_calibration(calibration_path(source), source)
    except UserError:
        return None  # it belongs to other parameters
