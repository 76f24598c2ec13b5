"""DATA in WebDataset tar shards: read where it lies, by an index that is kept."""
