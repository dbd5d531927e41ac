"""Chains that work as they stand: ``ganchain run NAME photo.jpg``."""
