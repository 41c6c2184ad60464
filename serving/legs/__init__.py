"""Legs: the model servers behind the front, one folder each, found by their names. ``finding.Leg`` says what each has."""
