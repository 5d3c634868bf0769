"""What `execute` can run on a channel, one module a family. Each is a generator in simulated time."""
