"""The signal path of one stream: PCM, features, network, tones, decision. No sockets, no files but the weights."""
