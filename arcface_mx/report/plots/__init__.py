"""Plots of runs and of the margins. All of them need matplotlib."""
