"""The machine: what it is, where on it networks compute, how much memory they took."""
