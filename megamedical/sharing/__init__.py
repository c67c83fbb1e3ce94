"""Stores that go on to others: merged, copied, exported."""
