"""One file for each network; the name of the file is its name in configurations and checkpoints."""
