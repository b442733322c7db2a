"""What a program does before it forks, so that its children share its memory."""

import gc


def share_memory() -> None:
    """Leaves all that is there out of every later garbage collection.

    A collection writes into each object, and a page of memory that was written to is no longer shared
    between parent and child (gc.freeze, Python's library reference). Celery collects before each fork.
    """
    gc.collect()
    gc.freeze()
