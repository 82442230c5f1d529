"""The page report.html of a run."""
