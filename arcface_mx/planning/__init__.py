"""Estimate memory and time of a training run before anything is allocated."""
