"""ROAD: looking after the data: backup, restore, purge."""
