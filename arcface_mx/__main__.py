"""`python -m arcface_mx` is `arcface-mx`."""

import sys

from arcface_mx.cli import main

if __name__ == "__main__":  # worker processes import this file too
    sys.exit(main())
