"""What tests share: collections on disk, text fixtures, archives, models, jobs for the pool."""
