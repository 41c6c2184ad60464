"""Where the norm stands: the stream and its gradient before any training, and what half precision can hold of them."""
