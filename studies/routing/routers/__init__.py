"""One file for each policy that says which rows go through a block; :mod:`.router` has what they share."""
