"""Run a scheduler or a server of MXNet's parameter server.

`import mxnet` does all the work if DMLC_ROLE is "scheduler" or "server". It exits when the run ends.
"""

import mxnet  # noqa: F401
