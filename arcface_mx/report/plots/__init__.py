"""The geometry behind the figures: angle statistics, curves, histograms, the plane of a 2-d embedding."""
