"""Reading RecordIO face data for training: image-only view, native iterator, sample stream."""
