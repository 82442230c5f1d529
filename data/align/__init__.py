"""Face detection, landmarks and the similarity transform to an aligned crop."""
