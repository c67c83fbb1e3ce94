"""What the network is trained on: tasks, episodes drawn from them, and their slices."""
