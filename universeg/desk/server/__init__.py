"""The server of the desk: the page, what it asks for, and who may ask."""
