"""Reading a params.yaml and holding it to its rules."""
