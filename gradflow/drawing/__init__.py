"""What figures share: style, curves, captions."""
