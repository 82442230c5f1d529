"""`arcface-mx gallery ...`"""
