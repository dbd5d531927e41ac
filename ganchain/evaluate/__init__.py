"""Evaluation of weights: nearness to the teacher, likeness to the person, cost; also two files side by side."""
