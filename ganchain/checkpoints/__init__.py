"""Weight files: bundled, cached, published and foreign ones; foreign files are read without running code."""
