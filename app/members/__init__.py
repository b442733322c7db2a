"""Use cases: changes to members, their settings, leave, tasks and teams; snooze, nudge, sign-in."""
