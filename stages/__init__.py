"""The stages: one file each, found by their file name."""
