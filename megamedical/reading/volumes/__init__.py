"""Formats of volumes, one module a family."""
