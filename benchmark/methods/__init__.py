"""Methods that come with the benchmark."""
