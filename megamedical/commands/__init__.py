"""The parts of the `megamedical` command; each imports what it needs where it needs it."""
