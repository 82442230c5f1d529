"""The commands of `arcface-mx data`."""
