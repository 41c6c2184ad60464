"""The front: the only thing that clients see, the same whichever server computes behind it."""
