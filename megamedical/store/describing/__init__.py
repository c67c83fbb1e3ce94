"""What others read of a store: where its datasets are from, and what it holds, as Croissant."""
