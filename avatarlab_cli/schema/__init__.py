"""The platform's tables as SQLAlchemy Core; import the module of an area, this package loads nothing."""
