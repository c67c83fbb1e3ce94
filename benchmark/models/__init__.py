"""Few-shot networks from their papers, as in-context segmenters (see `universeg.models`)."""
