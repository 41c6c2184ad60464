"""One file for each figure of the pipeline."""
