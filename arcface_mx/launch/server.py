"""A scheduler or server of MXNet's parameter server: importing mxnet with DMLC_ROLE set runs it to its end."""

import mxnet  # noqa: F401

import arcface_mx  # noqa: F401  (prepares the platform)
