"""What verification looks at: the tables among themselves, and each group of arrays."""
