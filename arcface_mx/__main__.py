"""Run the command line: `python -m arcface_mx` does what `arcface-mx` does."""

import sys

from arcface_mx.cli import main

if __name__ == "__main__":  # worker processes import this module too
    sys.exit(main())
