"""Whisper's audio encoder: config, weights, log-mel, and two engines that compute the same numbers."""
