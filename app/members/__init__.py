"""ROAD: members, their settings, leave, and imports."""
