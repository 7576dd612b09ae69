"""What a run directory holds, and how its files are written, locked and read."""
