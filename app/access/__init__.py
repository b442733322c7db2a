"""Who is asking: sign-in by mailed link, sessions, and whom somebody leads."""
