"""One file a network; its name is the word in configurations and checkpoints."""
