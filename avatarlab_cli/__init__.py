"""The core of the AvatarLab admin toolkit; it imports neither the commands nor the jobs."""

__version__ = "0.1.0"
