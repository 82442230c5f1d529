"""Leaves that every folder may import: files, errors, devices, environment, tables, plots."""
