"""Segments and contours that lie in the space of a scanned patient."""
