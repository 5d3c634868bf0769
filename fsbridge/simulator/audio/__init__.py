"""Sound: lines of PCM that grow with time, files, tones and stand-in speech. The recordings lie here too."""
