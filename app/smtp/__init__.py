"""The SMTP client: one session a connection, mail after mail, and what an answer means (RFC 5321)."""
