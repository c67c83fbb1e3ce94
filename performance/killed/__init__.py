"""The commands that are killed: what they work on, how far they are, what they must come to."""
