"""What goes on being heard after the verdict, for flows: speech, silence, tones, a recording known again. Pure."""
