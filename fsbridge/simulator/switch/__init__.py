"""The node and its channels: states, variables, headers, executed applications, media bugs. No sockets."""
