"""What a user sees of the work: the console, progress, downloads."""
