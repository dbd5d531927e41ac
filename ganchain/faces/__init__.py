"""Faces: detection, alignment to one template, and pasting back."""
