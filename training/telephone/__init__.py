"""What a telephone line does to sound, and the signals that it carries. No labels."""
