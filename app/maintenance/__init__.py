"""Maintenance: backup, restore, purge, and what is stored about one member."""
