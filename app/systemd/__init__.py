"""The units of systemd: rendered, read, and the commands that they start."""
