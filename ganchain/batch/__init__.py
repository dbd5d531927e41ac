"""Folders of photos through a chain: in worker processes, resumable, with a record of every photo."""
