"""Ears for words: what the first seconds of an answer say, and what that tells of who answered.

The recogniser is somebody else's (Whisper, by CTranslate2) and may be missing; nothing else here may need it.
"""
