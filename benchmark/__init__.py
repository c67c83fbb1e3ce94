"""Held-out evaluation of in-context segmenters: suites, methods, results, a leaderboard."""
