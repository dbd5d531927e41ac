"""Makeup looks: those in YAML files, and those that reference photos wear."""
