"""Kill each kind of process in the middle of a run of two workers, and run the command again.

python -m tests.support.launch_faults
"""

from __future__ import annotations

import os
import tempfile

from tests.support.launching import ROLES, command, print_faults, write_faces


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        data = write_faces(os.path.join(folder, "faces"))
        print_faults([(role, command(os.path.join(folder, role), data), role) for role in ROLES])


if __name__ == "__main__":
    main()
