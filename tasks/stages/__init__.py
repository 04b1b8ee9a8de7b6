"""The stages, one file each: extract, scan, standardize, manifest, features, job, verify."""
