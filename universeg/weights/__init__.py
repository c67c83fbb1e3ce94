"""Weights in files, the models they belong to, and the releases one can name."""
