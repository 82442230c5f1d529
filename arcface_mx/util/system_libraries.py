"""Libraries of the operating system that the wheels of MXNet and opencv-python need and do not contain.

recipes/lib/setup.sh runs this file by its path before anything is installed, so it imports the standard
library alone: `python arcface_mx/util/system_libraries.py` prints what is missing and exits with 1.
"""

from __future__ import annotations

import ctypes
import platform
import sys
from typing import Dict, List, NamedTuple


class Packages(NamedTuple):
    """Who needs a library, and the packages that contain it."""

    user: str
    apt: str  # Debian, Ubuntu
    dnf: str  # Fedora, RHEL and its relatives


LIBRARIES: Dict[str, Packages] = {
    "libgomp.so.1": Packages("mxnet", "libgomp1", "libgomp"),
    "libquadmath.so.0": Packages("mxnet", "libquadmath0", "libquadmath"),
    "libGL.so.1": Packages("opencv-python", "libgl1", "libglvnd-glx"),
    "libgthread-2.0.so.0": Packages("opencv-python", "libglib2.0-0", "glib2"),
}
X86_ONLY = ("libquadmath.so.0",)


def missing_libraries() -> List[str]:
    """Return the names of the libraries that the loader does not find. Only Linux is looked at."""
    if platform.system() != "Linux":
        return []
    names = [name for name in LIBRARIES if name not in X86_ONLY or platform.machine() == "x86_64"]
    return [name for name in names if not _loads(name)]


def install_command(names: List[str]) -> str:
    """Return the commands that install some of the libraries, for apt and for dnf, in one line."""
    packages = [LIBRARIES[name] for name in names]
    apt, dnf = (" ".join(dict.fromkeys(choice)) for choice in zip(*[(entry.apt, entry.dnf) for entry in packages]))
    return f"apt-get install -y {apt}   (Fedora, RHEL: dnf install -y {dnf})"


def _loads(name: str) -> bool:
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True


if __name__ == "__main__":
    missing = missing_libraries()
    if missing:
        print(f"The system lacks {', '.join(missing)}. Run as root: {install_command(missing)}", file=sys.stderr)
    sys.exit(1 if missing else 0)
