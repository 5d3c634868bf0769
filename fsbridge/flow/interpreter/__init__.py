"""A document's next action, and what a result means. Pure: no channel is touched, no clock is read."""
