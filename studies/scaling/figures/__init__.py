"""One file for each figure, or for several of one kind."""
