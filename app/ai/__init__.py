"""The recap by AI: the lead's week in at most five lines, written before the mail needs it.

`prefetch` asks ahead of the digests' hours, `recap` is the job (`prompt`, `call`, `answer`),
`recap_store` is what all workers share, `recap_lookup` is what a letter takes. No mail waits for any
of it.
"""
