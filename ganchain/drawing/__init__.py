"""Drawing of a face: points, mattes and pixels in, layers of filled paths out, and what paints them at any size."""
