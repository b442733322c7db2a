"""The one-machine stack behind `make run`: every part of the product, started by one command.

supervisor.py keeps parts running, stack.py says which parts there are, catcher.py is the SMTP
server of the local mailbox and mailbox.py the folder it fills. Nothing is imported here: the pages
need the folder alone, and stack.py brings a Redis along.
"""
