"""Files on disk: room for them, checksums, folders, and writing that is whole or not at all."""
