"""Make and check data sets."""
