"""One file for each block; the name of the file is its name in params.yaml, checkpoints and figures."""
