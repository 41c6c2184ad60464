"""What each block reads of all earlier ones: streams that are mixed over depth, and highways that cannot collapse."""
