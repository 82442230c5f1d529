"""Training: one run from configuration to metrics. Start reading in `run.py` and `loop.py`.

`arcface_mx.train(...)` calls the function of `api.py`.
"""

from arcface_mx.util.callable_package import make_callable

make_callable(__name__)
