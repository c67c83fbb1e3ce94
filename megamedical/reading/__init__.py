"""Readers: one file of any format into an array, with its place in the patient."""
