"""Reports: typed filters in, one SELECT and its columns out. All SQL that only reads stands here."""
