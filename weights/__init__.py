"""Bundled weights: ``manifest.yaml``, one safetensors file and one model card each."""
