"""How must the branch be scaled with the depth, so that what was tuned at one depth holds at another?"""
