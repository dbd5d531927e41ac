"""Photos through a chain of stages."""
