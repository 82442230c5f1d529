"""Published verification protocols, and the verification sets made from them."""

from arcface_mx.data.protocols.formats import ImagePair, read_protocol
from arcface_mx.data.protocols.ijb import IjbLists, read_ijb
from arcface_mx.data.protocols.lfw import make_lfw
from arcface_mx.data.protocols.verification_set import make_verification_set

__all__ = ["IjbLists", "ImagePair", "make_lfw", "make_verification_set", "read_ijb", "read_protocol"]
