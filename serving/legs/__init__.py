"""Legs: the model servers behind the front, one folder each, found by name. ``finding.Leg`` says what each has."""
