"""A store in a notebook: what it is as a page, its tasks as pictures."""
