"""Audio: decoding any file to canonical samples (16 kHz, mono, int16), with its levels."""
