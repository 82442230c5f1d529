"""Reading, writing, indexing and scanning RecordIO face sets."""
