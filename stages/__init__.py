"""Stages, one file each; a stage is found by the name of its file."""
