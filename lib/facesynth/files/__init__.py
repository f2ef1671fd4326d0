"""Files that are whole or absent, and where weights made by others lie."""
