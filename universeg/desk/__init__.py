"""The desk: a page on which scans are looked at, corrected, and learnt from."""
