"""Measures beside Dice and surfaces: of lines, of objects, of how sure a prediction is."""
