"""Letters: what each kind of mail says, read again right before it is sent."""
