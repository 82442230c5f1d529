"""What every room may use: files, devices, environment, errors, progress, parameter files, plots and tables."""
