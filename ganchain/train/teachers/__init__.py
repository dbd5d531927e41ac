"""Teachers: slow, hand-made picture edits whose pairs (face, edited face) the compact networks learn from."""
