"""Train an in-context segmenter from a store."""
