"""Training: a loop that knows no network, data from any folder of faces, one recipe a network."""
