"""Arrays in, numbers out: ROC, folds, identification, templates, calibration, angles."""
