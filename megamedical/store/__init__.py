"""The store: its arrays and tables, read, written, verified and looked at."""
