"""Access: sessions of signed-in browsers, whom a member leads, and forms that act once."""
