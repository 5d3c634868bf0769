"""What outlives the process: calls, and the webhooks that they owe, in one transaction. No rule about either."""
