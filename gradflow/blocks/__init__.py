"""One file a block; its name is the word in params.yaml, in the checkpoints and in the figures."""
