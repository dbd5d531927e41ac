"""Faces: found, aligned to one template, and put back."""
