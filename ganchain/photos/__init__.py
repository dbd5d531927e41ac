"""The pixels of a photo file, and the words in it: EXIF, XMP, marks, credentials."""
