"""A believable AvatarLab platform, invented from a seed."""
