"""The way back to scans: masks on their own grids, and predictions held against them there."""
