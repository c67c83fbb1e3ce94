"""What networks learn from: slices and episodes as datasets of PyTorch's, read a batch at once."""
