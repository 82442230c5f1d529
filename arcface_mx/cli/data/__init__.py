"""`arcface-mx data ...`"""
