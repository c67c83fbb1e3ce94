"""Prediction: pictures and volumes in, with a few labelled ones; masks out."""
