"""Whether a program may speak for its database."""
