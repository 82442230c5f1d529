"""What every folder may use: files, devices, environment, errors, progress, parameter files, plots and tables."""
