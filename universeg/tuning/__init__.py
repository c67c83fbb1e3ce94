"""Learning from the labelled slices one is given: tuning, forests and networks beside it."""
