"""Engines that run a foreign release in the framework it was made with; nothing here is needed by the base install."""
