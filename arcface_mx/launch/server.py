"""A scheduler or server of MXNet's parameter server: importing mxnet with DMLC_ROLE set runs it to its end."""

import arcface_mx  # noqa: F401  (prepares the platform)
import mxnet  # noqa: F401
