"""Engines, which run networks: torch in float32 is the reference, the others are faster and agree with it."""
