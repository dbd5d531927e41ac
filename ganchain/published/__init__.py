"""Published networks doing a stage's work."""
