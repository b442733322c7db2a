"""Door: the jobs of the queues `mail` and `ai`, and the worker that runs them."""
