"""Texts of what is said when a call is answered, in several languages, and the model that judges transcripts by them.

No sound: what is learnt here cannot know a voice or a microphone.
"""
