"""The distant identity: can a deep stack of blocks learn to give back its input?"""
