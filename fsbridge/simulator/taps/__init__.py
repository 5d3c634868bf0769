"""mod_audio_fork's side of the audio WebSocket."""
