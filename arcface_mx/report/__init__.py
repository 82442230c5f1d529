"""Tables and pages from run folders. Nothing here is typed in by hand."""
