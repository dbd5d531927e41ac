"""Published networks in the place of the bundled ones."""
