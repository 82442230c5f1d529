"""Tests, mirroring the project's folders. The import prepares numpy and threads before mxnet loads."""

import arcface_mx  # noqa: F401
