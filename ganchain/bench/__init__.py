"""``ganchain bench``: what a chain costs on this machine, and how near that is to what the processor can do."""
