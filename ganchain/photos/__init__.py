"""Photo files: their pixels and their metadata (EXIF, XMP, marks, credentials)."""
