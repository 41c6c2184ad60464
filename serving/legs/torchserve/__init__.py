"""TorchServe: a Java front that hands requests to a worker in Python, with the network in a model archive."""
