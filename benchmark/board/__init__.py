"""The leaderboard as it is read: on a terminal, as CSV, Markdown and JSON, and as an HTML page."""
