"""One file for each mixing rule; the name of the file is its name in configurations and checkpoints."""
