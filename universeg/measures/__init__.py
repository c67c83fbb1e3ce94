"""How near two masks are to each other."""
