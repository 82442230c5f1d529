"""The result of a check: a table, problems and remarks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Tuple

import numpy as np

from arcface_mx.data.bins.read import PairSet
from arcface_mx.data.recordio.index import RecordIndex
from arcface_mx.data.recordio.problems import Problem
from arcface_mx.util.tables import text_table

SAMPLE = 2000  # images that a quick check decodes
MAX_SHOWN = 10  # record numbers of a problem in the text; the JSON file has all


@dataclass
class Report:
    """The contents of a file, its problems, and remarks, which are harmless.

    Attributes
    ----------
    path : str
        The file.
    table : list of (str, str)
        Properties of the file and their values.
    problems, remarks : list of Problem
        What is wrong, and what is worth knowing.
    index : RecordIndex, optional
        The index of a face set; None for a verification set.
    pairs : PairSet, optional
        The pairs of a verification set; None for a face set, and for a file that is none.
    mean : np.ndarray of float64, shape (height, width, 3), optional
        The mean image, RGB, 0…255.
    positions, digests : np.ndarray of int64 and of S16, shape (K,)
        Which images were decoded: positions of records or numbers of distinct images, and their
        hashes.
    """

    path: str
    table: List[Tuple[str, str]] = field(default_factory=list)
    problems: List[Problem] = field(default_factory=list)
    remarks: List[Problem] = field(default_factory=list)
    index: Optional[RecordIndex] = None
    pairs: Optional[PairSet] = None
    mean: Optional[np.ndarray] = None
    positions: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    digests: np.ndarray = field(default_factory=lambda: np.zeros(0, "S16"))

    def __str__(self) -> str:
        lines = text_table(self.table).splitlines() if self.table else []
        for kind, entries in (("problem", self.problems), ("remark", self.remarks)):
            for entry in entries:
                lines.append(f"{kind}: {entry}")
                if len(entry.records) > 1:
                    more = f" … ({len(entry.records)})" if len(entry.records) > MAX_SHOWN else ""
                    lines.append(f"  records {', '.join(map(str, entry.records[:MAX_SHOWN]))}{more}")
        lines += [] if self.problems else ["no problem found"]
        return "\n  ".join([self.path] + lines)

    def to_json(self) -> Dict[str, object]:
        """Return the report as a value that JSON can store.

        Returns
        -------
        dict
        """

        def plain(problems: List[Problem]) -> List[Dict[str, Any]]:
            return [{"found": p.message, "remedy": p.remedy, "records": list(p.records)} for p in problems]

        return {
            "path": self.path,
            "table": dict(self.table),
            "problems": plain(self.problems),
            "remarks": plain(self.remarks),
        }
