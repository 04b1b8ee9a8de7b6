"""From downloaded speech archives to training-ready manifests and encoder features."""
