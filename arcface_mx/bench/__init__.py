"""What is measured, against what: medians of interleaved repetitions in one run."""
