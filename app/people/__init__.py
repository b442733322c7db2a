"""Members and the organisation as they are stored, and how what is typed about them is read."""
