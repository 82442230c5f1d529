"""Export a model: MXNet files, folded or not, ONNX, calibration and model card, checked on photos."""

from __future__ import annotations

import dataclasses
import os
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np

from arcface_mx.export.card import Card, write_card
from arcface_mx.export.int8 import agreement, quantised, write_int8
from arcface_mx.export.parity import PHOTOS, check_photos, difference
from arcface_mx.model import Embedder, load_model
from arcface_mx.model.attributes import describe, with_attributes
from arcface_mx.model.backbone import make_backbone
from arcface_mx.model.embedder import batch_of
from arcface_mx.model.fold import fold_batchnorm
from arcface_mx.model.load import locate, read_parameters
from arcface_mx.model.save import save_model
from arcface_mx.model.to_onnx import onnx_bytes, onnx_embeddings, write_onnx
from arcface_mx.train import checkpoint
from arcface_mx.train.folder import CONFIG, read_config
from arcface_mx.util.errors import UserError
from arcface_mx.verify.calibrate import calibrate_model
from arcface_mx.verify.calibration_file import (
    StoredCalibration,
    calibration_path,
    model_fingerprint,
    read_calibration,
    write_calibration,
)

SHARE = 4  # for int8: one photo in four to compare on, the others to take ranges from


@dataclasses.dataclass(frozen=True)
class ExportOptions:
    """fold: BatchNorm into neighbours. int8: the form for that engine. photos: what forms are compared on, and
    int8's ranges taken from. calibrate: sets for thresholds."""

    fold: bool = False
    onnx: bool = False
    int8: bool = False
    photos: Optional[str] = None
    calibrate: Tuple[str, ...] = ()


def export_model(source: str, folder: Optional[str], options: ExportOptions) -> List[str]:
    """Write the embedding network of a run (its newest checkpoint) or of PREFIX,EPOCH into `folder`.

    folder: None is the run folder itself. Returns lines that say what was written and measured.
    Raises UserError, with nothing written, on bad input or where a form's embeddings differ.
    """
    is_run = os.path.exists(os.path.join(source, CONFIG)) or not _is_model(source)
    network = _of_run(source) if is_run else load_model(source)
    if folder is None and (options.fold or not is_run):
        raise UserError(f"--out is missing: name a folder for the {'folded model' if options.fold else 'export'}")
    folder = folder or source
    lines, checks, form = [], [], network
    photos, typical = (
        _photos(source, is_run, network, options) if options.fold or options.onnx or options.int8 else ([], [])
    )
    expected = network.embed(photos) if photos else np.zeros((0, 0))
    if options.fold:
        form = _folded(network)
        checks.append(("folded, MXNet", difference(expected, form.embed(photos), "folded model")))
    attributes = describe(network.input_size, network.embedding_size, aligned=is_run)
    graph, (args, aux) = with_attributes(form.symbol, form.image_input, attributes), form.params
    data = b""
    if options.onnx:
        data = onnx_bytes(graph, args, aux, form.image_input, network.input_size, attributes)
        for batch_size in (len(photos), 1):  # the first axis is open
            worst = difference(expected, onnx_embeddings(data, batch_of(photos), batch_size), "ONNX model")
        checks.append(("ONNX, ONNX Runtime", worst))
    small, cosines = _int8(form, typical, expected, photos) if options.int8 else (b"", (0.0, 0.0))
    prefix = save_model(graph, args, aux, folder)
    lines.append(f"{prefix}-symbol.json, {prefix}-0000.params: {'; '.join(network.notes) or network.name}")
    if options.onnx:
        write_onnx(prefix + ".onnx", data)
        lines.append(f"{prefix}.onnx")
    if options.int8:
        path = write_int8(prefix, small, attributes)
        lines.append(
            "%s: cosine to the network's embedding %.4f (lowest %.4f) on %d photos" % (path, *cosines, len(photos))
        )
    lines += [
        f"{name}: unit embeddings differ by at most {worst:.1e} on {len(photos)} photos" for name, worst in checks
    ]
    calibration = _calibration(source, network, prefix + ",0", options)
    write_card(
        prefix + "-card.md", Card(source, is_run, network, attributes, options.fold, checks, len(photos), calibration)
    )
    return lines + [f"{prefix}-card.md"]


def _is_model(source: str) -> bool:
    return not os.path.isdir(source) or os.path.exists(os.path.join(source, "model-symbol.json"))


def _of_run(run: str) -> Embedder:
    """The network of a run's newest checkpoint. Raises UserError where there is none."""
    config = read_config(run)
    state = checkpoint.latest(run)
    if state is None:
        raise UserError(f"{run}: holds no checkpoint; train first")
    backbone = make_backbone(config.network, config.data.image_size, config.run.init)
    symbol, side = backbone.file_symbol(), backbone.image_size
    args, aux = backbone.arrays_of(symbol, state.arg_params, state.aux_params)
    return Embedder(symbol, args, aux, None, (side, side), f"{run}, step {state.step}")


def _photos(
    source: str, is_run: bool, network: Embedder, options: ExportOptions
) -> Tuple[List[np.ndarray], List[np.ndarray]]:
    """Photos to compare on, and others that show int8 typical input: of --photos, else of those the run was
    verified on, else of those it was trained on."""
    own: Sequence[str] = ()
    if is_run:
        data = read_config(source).data
        own = [path for path in tuple(data.eval) + (data.data,) if os.path.exists(path)]
    if not options.photos and not own:
        raise UserError(
            "--photos is missing: name faces to compare the exported forms on (.bin, face set, folder or list)"
        )
    found = check_photos(options.photos or own[0], network.input_size, PHOTOS * (SHARE if options.int8 else 1))
    if not options.int8:
        return found, []
    if len(found) < 2:
        raise UserError(
            f"--photos {options.photos}: {len(found)} photo is too little to take ranges from and to compare on; give at least 2"
        )
    return found[::SHARE], [photo for number, photo in enumerate(found) if number % SHARE]


def _int8(
    form: Embedder, typical: List[np.ndarray], expected: np.ndarray, photos: List[np.ndarray]
) -> Tuple[bytes, Tuple[float, float]]:
    """The int8 form's bytes, and its cosines to the network's embeddings of `photos`."""
    symbol, args, aux = fold_batchnorm(form.symbol, *form.params)
    data = quantised(onnx_bytes(symbol, args, aux, form.image_input, form.input_size, {}), batch_of(typical))
    return data, agreement(expected, data, batch_of(photos))


def _folded(network: Embedder) -> Embedder:
    symbol, args, aux = fold_batchnorm(network.symbol, *network.params)
    return Embedder(symbol, args, aux, network.contexts, network.input_size, network.name)


def _calibration(source: str, network: Embedder, exported: str, options: ExportOptions) -> Optional[StoredCalibration]:
    """Measure it, or carry over that of the source; it is written beside the export."""
    if options.calibrate:
        stored = calibrate_model(load_model(exported), exported, options.calibrate)
    else:
        found = _own_calibration(source, network)
        if found is None:
            return None
        stored = dataclasses.replace(found, model=model_fingerprint(exported))
    write_calibration(calibration_path(exported), stored)
    return stored


def _own_calibration(source: str, network: Embedder) -> Optional[StoredCalibration]:
    """The source's calibration where it was made with the very arrays that are exported."""
    if not _is_model(source) or not os.path.exists(calibration_path(source)):
        return None
    if not _same_arrays(network.params[0], read_parameters(locate(source)[1])[0]):
        return None
    try:
        return read_calibration(calibration_path(source), source)
    except UserError:
        return None  # of parameters that are no more


def _same_arrays(used: Dict[str, Any], stored: Dict[str, Any]) -> bool:
    return all(
        name in stored and np.array_equal(value.asnumpy(), stored[name].asnumpy()) for name, value in used.items()
    )
