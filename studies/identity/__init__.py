"""The distant identity: can a deep stack of blocks learn to return its input?"""
