"""The pipeline: it takes photos through a chain of stages."""
