"""What `pipeline.inspect` looks at before a training: files, a sample of pairs, whether masks fit, and pictures of them."""
