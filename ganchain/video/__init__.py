"""Videos: read, their faces tracked, edited frame by frame by a pipeline, held steady, and written."""
