"""One file a figure of the report."""
