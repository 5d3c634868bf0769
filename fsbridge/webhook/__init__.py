"""What callers are told: bodies, signatures, and their delivery. When it is told is the lifecycle's matter."""
