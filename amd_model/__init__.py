"""The detector: who or what answered, from 8 kHz audio. Usable alone; imports nothing of the other packages.

`verdict` has what it says, and is what others import.
"""
