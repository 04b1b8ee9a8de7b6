"""Label file formats that several corpora share, a module a format: files in, values out, nothing of any corpus."""
