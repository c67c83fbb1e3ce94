"""What is said of methods beside their means: tests, shared ranks, other measures, expectations."""
