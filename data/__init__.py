"""Making face data sets: alignment, RecordIO packing, pair protocols, validation, embedded sets."""
