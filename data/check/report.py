"""The result of a check: a table, problems, remarks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Tuple

import numpy as np

from arcface_mx.data.recordio.index import RecordIndex
from arcface_mx.data.recordio.problems import Problem

SAMPLE = 2000  # images that a quick check decodes


@dataclass
class Report:
    """What is in a file, what is wrong with it, and what is worth knowing but harmless."""

    path: str
    table: List[Tuple[str, str]] = field(default_factory=list)
    problems: List[Problem] = field(default_factory=list)
    remarks: List[Problem] = field(default_factory=list)
    index: Optional[RecordIndex] = None
    mean: Optional[np.ndarray] = None  # height×width×3, RGB 0…255

    def to_json(self) -> Dict[str, Any]:
        def plain(problems: List[Problem]) -> List[Dict[str, Any]]:
            return [{"found": p.message, "remedy": p.remedy, "records": list(p.records)} for p in problems]

        return {
            "path": self.path,
            "table": dict(self.table),
            "problems": plain(self.problems),
            "remarks": plain(self.remarks),
        }
