"""Datasets of the recipes: pictures, varied at random, and their teacher's answers."""
