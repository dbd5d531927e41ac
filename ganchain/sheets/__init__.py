"""Contact sheets, grids, and pages with before/after sliders."""
