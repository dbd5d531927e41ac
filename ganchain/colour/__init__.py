"""Exact formulas on pixels: L*a*b*, makeup, hair."""
