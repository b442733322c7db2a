"""The recap by AI: the lead's week in at most five lines, written before the mail needs it.

`early` asks ahead of the digests' hours, `recap` is the job (`prompt`, `call`, `answer`), `rows`
is what all workers share, `stored` is what a letter takes. No mail waits for any of it.
"""
