"""Tasks that are drawn while a network is trained, on its device, new at every step."""
