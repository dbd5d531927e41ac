"""How good weights are: near their teacher, true to the person, what they cost; two files side by side."""
