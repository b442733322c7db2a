"""How fast mails leave, beside other ways to send them; `make bench`."""
