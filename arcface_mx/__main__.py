"""`python -m arcface_mx` is `arcface-mx`."""

import sys

from arcface_mx.cli import main

sys.exit(main())
