"""The reports that watch the platform: how each is built, and the recount its rows must equal."""
