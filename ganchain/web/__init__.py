"""The web page and its HTTP API: thin shells over the pipeline."""
