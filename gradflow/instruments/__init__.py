"""One file for each instrument; its name is used in a study's params.yaml, its columns in the study's tables."""
