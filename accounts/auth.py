"""Bearer key → caller, for DRF."""
