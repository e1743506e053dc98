"""A slow, plain-Python statement of what the two aggregation jobs must produce.

Written from the definitions alone and sharing no code with the jobs, so that an error in one is not repeated in the other.
"""
