"""What people draw with other programs, as masks: outlines in files, segments, colours."""
