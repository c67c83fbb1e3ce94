"""Outlines that programs for drawing on pictures keep in text files, a module for each program."""
