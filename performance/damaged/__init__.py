"""Files of every format that is read: how one is written, how it is read, and by whom else."""
