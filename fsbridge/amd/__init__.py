"""The detector as calls use it: the tap's commands and events, the rule for verdicts, its worker processes.

No audio and no model code: these are `amd_model`'s.
"""
