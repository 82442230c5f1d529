"""The classifier split by class over devices and processes."""
