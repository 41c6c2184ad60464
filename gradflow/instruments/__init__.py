"""One file an instrument; its name is the word in a study's params.yaml, its columns those of the study's tables."""
