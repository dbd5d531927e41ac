"""Networks, one file each; their sizes are read from the tensors of a weight file, never declared twice."""
