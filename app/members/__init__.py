"""Members, their settings, leave, and imports."""
