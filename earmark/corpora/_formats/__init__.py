"""Label file formats that several corpora share, one module for each; none of them knows any corpus."""
