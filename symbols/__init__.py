"""Graph builders: Symbols and numbers in, a Symbol out. No I/O, no global state, no NDArray."""

from arcface_mx.symbols.centres import class_centres
from arcface_mx.symbols.iresnet import iresnet
from arcface_mx.symbols.margin import margin_logits
from arcface_mx.symbols.monitor import correct_without_margin, margin_free_logits, target_cosine
from arcface_mx.symbols.prelu import prelu
from arcface_mx.symbols.softmax import cross_entropy, norm_softmax_logits, softmax_logits

__all__ = [
    "class_centres",
    "correct_without_margin",
    "cross_entropy",
    "iresnet",
    "margin_free_logits",
    "margin_logits",
    "norm_softmax_logits",
    "prelu",
    "softmax_logits",
    "target_cosine",
]
