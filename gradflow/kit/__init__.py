"""What networks are made of: layers, blocks on a stream, how weights start, and how a configuration becomes one."""
