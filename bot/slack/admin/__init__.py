"""`/dolly admin`: for those who administer Dolly."""
