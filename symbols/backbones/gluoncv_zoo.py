"""Any classification network of GluonCV's model zoo as a backbone.

The last layer of the network, fully connected or a 1×1 convolution, is cut off. Its input goes through
the paper's output, BN–Dropout–FC–BN. Pixels are normalised to (x − 127.5)/128 as for the other
backbones, because networks are trained from scratch here and nothing is downloaded. Layers keep the
names that GluonCV gives them, such as `resnetv1b_layers1_conv0_weight`.
"""

from __future__ import annotations

import json
from typing import List

import mxnet as mx
from mxnet.symbol import Symbol

from arcface_mx.symbols.backbones.layers import embedding_output, normalised_pixels
from arcface_mx.symbols.checks import check_count, check_range

# Modules of gluoncv.model_zoo with networks that classify images. The networks of the other modules
# detect, segment, track, recognise actions, or are quantised.
CLASSIFIERS = (
    "alexnet cifarresnet cifarresnext cifarwideresnet densenet dla googlenet hrnet inception mobilenet mobilenetv3 "
    "nasnet pruned_resnet.resnetv1b_pruned residual_attentionnet resnest resnet resnetv1b resnext senet shufflenet "
    "squeezenet vgg xception yolo.darknet"
).split()
# A Symbol cannot contain MXNet's GroupNorm; the last three networks segment images.
EXCLUDED = ("resnet50_v1b_gn", "resnet101_v1b_gn", "hrnet_w18_small_v1_s", "hrnet_w18_small_v2_s", "hrnet_w48_s")

SIZES = (
    "DLA and HRNet take multiples of 32, residual attention networks 224 (their CIFAR forms 32), "
    "Inception 96 or more, AlexNet 64 or more."
)


def model_zoo_names() -> List[str]:
    """List the names that `model_zoo` takes. This imports GluonCV.

    Returns
    -------
    list of str
        Sorted names.
    """
    from gluoncv.model_zoo import model_zoo as zoo

    modules = ["gluoncv.model_zoo." + module for module in CLASSIFIERS]
    return sorted(name for name, make in zoo._models.items() if make.__module__ in modules and name not in EXCLUDED)


def model_zoo(
    name: str,
    data: Symbol,
    embedding_size: int = 512,
    *,
    input_size: int = 112,
    dropout: float = 0.4,
    frozen_batchnorm: bool = False,
) -> Symbol:
    """Build a network of GluonCV's model zoo.

    Parameters
    ----------
    name : str
        Name in the zoo, such as "resnet18_v1b".
    data : Symbol of shape (N, 3, input_size, input_size)
        RGB pixels from 0 to 255.
    embedding_size : int, default=512
        Width d of the embedding.
    input_size : int, default=112
        Height and width of the images. Most networks take any size from 32 on; `SIZES` lists the
        others.
    dropout : float, default=0.4
        Share of the last features dropped in training, 0 <= dropout < 1.
    frozen_batchnorm : bool, default=False
        Use BatchNorm's moving statistics in training too, for fine-tuning.

    Returns
    -------
    Symbol of shape (N, embedding_size)
        The embedding, node "fc1".

    Raises
    ------
    ValueError
        If an argument is out of range; the message names it.
    """
    check_count("embedding_size", embedding_size)
    check_count("input_size", input_size)
    check_range("dropout", dropout, 0.0, 1.0)
    if name not in model_zoo_names():
        raise ValueError(f"`name` must be a classification network of GluonCV's zoo, got {name!r}")
    features = _features(name)
    try:
        features.infer_shape(data=(1, 3, input_size, input_size))
    except mx.MXNetError as error:
        raise ValueError(f"`input_size` {input_size} does not fit {name}. {SIZES}") from error
    if frozen_batchnorm:
        features = _frozen(features)
    features = features(data=normalised_pixels(data))
    return embedding_output(features, embedding_size, dropout=dropout, frozen=frozen_batchnorm)


def _features(name: str) -> Symbol:
    """Build the features that the network's classifier reads, as a graph over the Variable "data".

    Some networks average over the image with a window of a fixed size. Here they average over the
    whole image, which is the same at the network's native size and works for other sizes too.
    """
    from gluoncv.model_zoo import model_zoo as zoo

    # With a fresh name manager the names of parameters do not depend on what was built before.
    with mx.name.NameManager():
        body = zoo._models[name](pretrained=False)(mx.sym.Variable("data"))
        if isinstance(body, (list, tuple)):  # NASNet adds an auxiliary classifier
            body = body[0]
        while _operator(body) not in ("FullyConnected", "Convolution"):
            body = body.get_children()[0]
        spatial = _operator(body) == "Convolution"
        body = body.get_children()[0]
        while _operator(body) in ("Dropout", "Flatten", "Pooling"):
            spatial = spatial or _operator(body) == "Pooling"
            body = body.get_children()[0]
        if spatial:
            body = mx.sym.Pooling(body, kernel=(1, 1), global_pool=True, pool_type="avg", name="pool_features")
        return body


def _operator(symbol: Symbol) -> str:
    graph = json.loads(symbol.tojson())
    return str(graph["nodes"][graph["heads"][0][0]]["op"])


def _frozen(symbol: Symbol) -> Symbol:
    """Return the same graph with use_global_stats in every BatchNorm."""
    graph = json.loads(symbol.tojson())
    for node in graph["nodes"]:
        if node["op"] == "BatchNorm":
            node["attrs"]["use_global_stats"] = "True"
    return mx.sym.load_json(json.dumps(graph))
