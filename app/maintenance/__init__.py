"""Looking after the data: backup, restore, purge."""
