"""Subjects: which files belong to one, their image and their labels."""
