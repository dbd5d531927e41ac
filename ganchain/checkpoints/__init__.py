"""Weight files: the bundled ones, the user's cache, published ones, and foreign files read without running anything."""
