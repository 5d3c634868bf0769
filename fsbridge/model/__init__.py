"""What everybody knows: what a call is, who is called, how it stands and how it ends. Pure values.

No rules that only one room follows, and nothing that talks to anything.
"""
