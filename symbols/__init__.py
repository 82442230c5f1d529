"""Graph builders: Symbols and numbers in, a Symbol out. No I/O, no global state, no NDArray."""

from arcface_mx.symbols.a_softmax import a_softmax_logits, annealed_lambda
from arcface_mx.symbols.adaface import adaface_logits
from arcface_mx.symbols.backbones import backbone, backbone_names
from arcface_mx.symbols.backbones.gluoncv_zoo import model_zoo, model_zoo_names
from arcface_mx.symbols.backbones.iresnet import iresnet
from arcface_mx.symbols.backbones.mobilefacenet import mobilefacenet
from arcface_mx.symbols.backbones.prelu import prelu
from arcface_mx.symbols.centre_terms import arcsines, inter_loss, intra_loss
from arcface_mx.symbols.centres import class_centres
from arcface_mx.symbols.contrastive import contrastive_loss
from arcface_mx.symbols.fast_margin import margin_cross_entropy
from arcface_mx.symbols.margin import margin_logits
from arcface_mx.symbols.monitor import correct_without_margin, margin_free_logits, target_cosine
from arcface_mx.symbols.softmax import cross_entropy, norm_softmax_logits, softmax_logits
from arcface_mx.symbols.sub_centre import sub_centre_logits
from arcface_mx.symbols.triplet import angular_triplet_loss, euclidean_triplet_loss

__all__ = [
    "a_softmax_logits",
    "adaface_logits",
    "angular_triplet_loss",
    "annealed_lambda",
    "arcsines",
    "backbone",
    "backbone_names",
    "class_centres",
    "contrastive_loss",
    "correct_without_margin",
    "cross_entropy",
    "euclidean_triplet_loss",
    "inter_loss",
    "intra_loss",
    "iresnet",
    "margin_cross_entropy",
    "margin_free_logits",
    "margin_logits",
    "mobilefacenet",
    "model_zoo",
    "model_zoo_names",
    "norm_softmax_logits",
    "prelu",
    "softmax_logits",
    "sub_centre_logits",
    "target_cosine",
]
