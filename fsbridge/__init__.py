"""Control of FreeSWITCH: calls, flows, trunks, webhooks. Knows nothing of serving HTTP, and nothing of torch.

The modules that lie here are shared by every room: errors, the clock, logs, metrics, who may spawn.
"""
